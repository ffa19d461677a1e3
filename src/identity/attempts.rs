//! The limits of signing in: failures for an account and from an address, within a quarter of an hour, over all processes.

use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;

use super::error::Error;
use super::store;
use crate::db::{Conn, transaction};
use crate::digest::Digest;

/// Seconds of a period.
const PERIOD: i64 = 15 * 60;
/// Failures for one account in a period.
pub const PER_ACCOUNT: i64 = 10;
/// Failures from one address in a period.
pub const PER_ADDRESS: i64 = 100;
/// Bits of an IPv6 address that its network gives: the others are its owner's to choose.
const NETWORK: u32 = 64;

/// An attempt, counted as a failure until it is known to be none.
pub struct Attempt {
    period: i64,
    account: Digest,
    address: Option<Digest>,
}

/// Counts an attempt before the password is looked at, so that attempts at the same time don't exceed the limits together.
/// Names that nobody has are counted like others.
pub fn begin(conn: &mut Conn, account: &str, address: Option<IpAddr>) -> Result<Attempt, Error> {
    let now = Timestamp::now().as_second();
    let attempt = Attempt {
        period: now.div_euclid(PERIOD),
        account: Digest::of(format!("account {account}")),
        address: address.map(|address| Digest::of(format!("address {}", network(address)))),
    };
    let allowed = transaction(conn, |conn| {
        // An address that is over its limit can't lock accounts.
        if let Some(address) = attempt.address
            && store::attempts::count(conn, address, attempt.period)? > PER_ADDRESS
        {
            return Ok(false);
        }
        Ok::<_, Error>(store::attempts::count(conn, attempt.account, attempt.period)? <= PER_ACCOUNT)
    })?;
    if allowed { Ok(attempt) } else { Err(Error::TooManyAttempts(PERIOD - now.rem_euclid(PERIOD))) }
}

/// The attempt was none: the account begins anew, and the address has one failure less. The caller has the transaction.
pub fn succeed(conn: &mut Conn, attempt: &Attempt) -> Result<(), Error> {
    if let Some(address) = attempt.address {
        store::attempts::take_back(conn, address, attempt.period)?;
    }
    Ok(store::attempts::forget(conn, attempt.account, attempt.period)?)
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
