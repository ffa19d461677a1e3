//! Who is at the other end: the address of the client, also behind proxies that are trusted to say it, and what it calls itself.

use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};

use super::problem::Problem;

const FORWARDED: &str = "X-Forwarded-For";

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl FromStr for Network {
    type Err = ();

    /// Reads an address, or one with the number of bits: `10.0.0.0/8`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(drop)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), str::parse).map_err(drop)?;
        if bits <= all { Ok(Self { address, bits }) } else { Err(()) }
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        differ >= self.bits
    }
}

/// The proxies whose word for a client's address is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[Network]>);

impl FromStr for TrustedProxies {
    type Err = ();

    /// Reads addresses and networks, separated by commas; an empty text is none.
    fn from_str(text: &str) -> Result<Self, ()> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client: the last address on the way here that isn't a trusted proxy. What an untrusted one says is not believed.
    fn client<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut nearest = peer.to_canonical();
        for address in forwarded.rev() {
            if !self.trust(nearest) {
                break;
            }
            let Some(address) = address_in(address.trim()) else { break };
            nearest = address.to_canonical();
        }
        nearest
    }
}

/// An address, which some proxies write with a port.
fn address_in(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Client {
    /// His address, where the connection has one.
    pub address: Option<IpAddr>,
    /// What he calls himself, uncleaned.
    pub user_agent: String,
}

impl Client {
    /// Where he stands: his IPv4 address, or the 64 bits of his IPv6 address that are one customer's of a provider.
    pub fn place(&self) -> Option<IpAddr> {
        self.address.map(|address| match address {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
            address => address,
        })
    }

    /// Of a request.
    pub fn of(request: &HttpRequest) -> Self {
        let text = |name: &str| {
            let values = request.headers().get_all(name).filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(",")
        };
        let none = TrustedProxies::default();
        let proxies = request.app_data::<web::Data<TrustedProxies>>().map_or(&none, |proxies| proxies.get_ref());
        let forwarded = text(FORWARDED);
        let address = request.peer_addr().map(|peer| proxies.client(peer.ip(), forwarded.split(',')));
        Self { address, user_agent: text(header::USER_AGENT.as_str()) }
    }
}

impl FromRequest for Client {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, forwarded: &str) -> String {
        let proxies: TrustedProxies = proxies.parse().unwrap();
        proxies.client(peer.parse().unwrap(), forwarded.split(',')).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client("", "192.0.2.9", "198.51.100.1"), "192.0.2.9");
        assert_eq!(client("192.0.2.0/24", "192.0.2.9", "198.51.100.1"), "198.51.100.1");
        // The first one is what the client claims of himself.
        assert_eq!(client("192.0.2.9", "192.0.2.9", "203.0.113.7, 198.51.100.1"), "198.51.100.1");
        assert_eq!(client("10.0.0.0/8,192.0.2.9", "192.0.2.9", "203.0.113.7, 198.51.100.1, 10.1.2.3"), "198.51.100.1");
        assert_eq!(client("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1"), "2001:db8::1");
        assert_eq!(client("192.0.2.9", "192.0.2.9", "unknown"), "192.0.2.9");
        assert_eq!(client("192.0.2.9", "192.0.2.9", "[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(client("192.0.2.9", "192.0.2.9", ""), "192.0.2.9");
    }

    #[test]
    fn a_network_is_an_address_and_bits() {
        assert!("2001:db8::/32, 10.0.0.0/8 ,".parse::<TrustedProxies>().is_ok());
        for wrong in ["10.0.0.0/33", "10.0.0/8", "proxy.example", "10.0.0.1/x"] {
            assert!(wrong.parse::<TrustedProxies>().is_err(), "{wrong}");
        }
    }
}
