//! The limits of signing in: failures for an account and from an address, within a quarter of an hour, over all processes. Few are
//! allowed for an account from one address, more from all together, so that nobody locks another one out from where he sits alone.

use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;

use super::error::Error;
use super::store;
use crate::db::{Conn, transaction};
use crate::digest::Digest;

/// Seconds of a period.
const PERIOD: i64 = 15 * 60;
/// Failures for one account from one address in a period.
pub const PER_ACCOUNT: i64 = 10;
/// Failures for one account from all addresses in a period.
pub const PER_ACCOUNT_EVERYWHERE: i64 = 100;
/// Failures from one address in a period.
pub const PER_ADDRESS: i64 = 100;
/// Bits of an IPv6 address that its network gives: the others are its owner's to choose.
const NETWORK: u32 = 64;

/// An attempt, counted as a failure until it is known to be none.
pub struct Attempt {
    period: i64,
    account: Digest,
    account_from_address: Digest,
    address: Digest,
}

/// Counts an attempt before the password is looked at, so that attempts at the same time don't exceed the limits together.
/// Names that nobody has are counted like others.
pub fn begin(conn: &mut Conn, account: &str, address: Option<IpAddr>) -> Result<Attempt, Error> {
    let now = Timestamp::now().as_second();
    let address = address.map(|address| network(address).to_string()).unwrap_or_default();
    let attempt = Attempt {
        period: now.div_euclid(PERIOD),
        account: Digest::of(format!("account {account}")),
        account_from_address: Digest::of(format!("account {account} from {address}")),
        address: Digest::of(format!("address {address}")),
    };
    // An address that is over its limit can't bring an account nearer to its own.
    let limits = [
        (attempt.address, PER_ADDRESS, "an address"),
        (attempt.account_from_address, PER_ACCOUNT, "an account from an address"),
        (attempt.account, PER_ACCOUNT_EVERYWHERE, "an account"),
    ];
    let exceeded = transaction(conn, |conn| {
        for (who, limit, what) in limits {
            let failures = store::attempts::count(conn, who, attempt.period)?;
            if failures > limit {
                return Ok(Some((what, failures == limit + 1)));
            }
        }
        Ok::<_, Error>(None)
    })?;
    let Some((what, is_first)) = exceeded else { return Ok(attempt) };
    if is_first {
        tracing::warn!(what, "too many failures to sign in: refused until the quarter of an hour ends");
    }
    Err(Error::TooManyAttempts(PERIOD - now.rem_euclid(PERIOD)))
}

/// The attempt was none: the account begins anew from this address, and has one failure less elsewhere, as the address has. The
/// caller has the transaction.
pub fn succeed(conn: &mut Conn, attempt: &Attempt) -> Result<(), Error> {
    // In the order in which attempts that begin count.
    store::attempts::take_back(conn, attempt.address, attempt.period)?;
    store::attempts::forget(conn, attempt.account_from_address, attempt.period)?;
    Ok(store::attempts::take_back(conn, attempt.account, attempt.period)?)
}

/// Removes some attempts that count no more.
pub fn clean(conn: &mut Conn, now: Timestamp, limit: i64) -> Result<(), Error> {
    Ok(store::attempts::clean(conn, now.as_second().div_euclid(PERIOD), limit)?)
}

/// What stands for an address: for IPv6, its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> (128 - NETWORK) << (128 - NETWORK)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let [a, b, c, d] = ["2001:db8::1", "2001:db8::ffff:2", "::ffff:192.0.2.1", "192.0.2.1"]
            .map(|text| network(text.parse().unwrap()));
        assert_eq!((a, c), (b, d));
        assert_ne!(d, network("192.0.2.2".parse().unwrap()));
    }
}
