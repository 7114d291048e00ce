//! Addresses: subnets, ranges of addresses, and an interface's own address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::text::{Malformed, Text, text_type};

/// A network in CIDR form, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet(IpNet);

impl Subnet {
    /// The subnet that `net` lies in: host bits are dropped.
    pub fn of(net: IpNet) -> Self {
        Self(net.trunc())
    }

    pub fn net(self) -> IpNet {
        self.0
    }

    pub fn contains(self, addr: IpAddr) -> bool {
        self.0.contains(&addr)
    }

    pub fn is_ipv4(self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// All its addresses, network and broadcast included.
    pub fn range(self) -> AddressRange {
        AddressRange { first: self.0.network(), last: self.0.broadcast() }
    }

    /// The address that Docker gives the network's own gateway when told nothing: the first after the network's.
    pub fn first_host(self) -> IpAddr {
        from_bits(to_bits(self.0.network()).saturating_add(1), self.is_ipv4())
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Subnet {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let net = cidr(text)?;
        if net.trunc() != net {
            return Err(Malformed::instead(
                format!("`{text}` has host bits set"),
                format!("`{}`", net.trunc()),
            ));
        }
        Ok(Self(net))
    }
}

impl Text for Subnet {
    const FORMAT: &'static str = "subnet";
    const PATTERN: &'static str = r"^[0-9a-fA-F:.]+/[0-9]{1,3}$";
}
text_type!(Subnet);

/// An interface's address with the length of its network: `192.168.251.1/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterfaceAddress(IpNet);

impl InterfaceAddress {
    pub fn addr(self) -> IpAddr {
        self.0.addr()
    }

    pub fn subnet(self) -> Subnet {
        Subnet::of(self.0)
    }
}

/// The address that docker-connector takes when told nothing.
impl Default for InterfaceAddress {
    fn default() -> Self {
        Self(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 251, 1), 24)))
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for InterfaceAddress {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let net = cidr(text)?;
        if net.prefix_len() < net.max_prefix_len() - 1 && net.addr() == net.network() {
            return Err(Malformed::instead(
                format!(
                    "`{}` is the address of the network itself, not of an interface",
                    net.addr()
                ),
                format!("`{}/{}`", Subnet(net).first_host(), net.prefix_len()),
            ));
        }
        Ok(Self(net))
    }
}

impl Text for InterfaceAddress {
    const FORMAT: &'static str = "interface-address";
    const PATTERN: &'static str = Subnet::PATTERN;
}
text_type!(InterfaceAddress);

/// A run of addresses of one family, both ends included; written as CIDR or as `first-last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// `None` if the ends are of two families or the wrong way round.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    pub fn first(self) -> IpAddr {
        self.first
    }

    pub fn last(self) -> IpAddr {
        self.last
    }

    pub fn is_ipv4(self) -> bool {
        self.first.is_ipv4()
    }

    /// How many addresses it holds; a whole IPv6 space counts as the largest number there is.
    pub fn count(self) -> u128 {
        (to_bits(self.last) - to_bits(self.first)).saturating_add(1)
    }

    pub fn contains(self, addr: IpAddr) -> bool {
        self.first.is_ipv4() == addr.is_ipv4() && self.first <= addr && addr <= self.last
    }

    pub fn covers(self, other: Self) -> bool {
        self.contains(other.first) && self.contains(other.last)
    }

    pub fn meets(self, other: Self) -> bool {
        self.is_ipv4() == other.is_ipv4() && self.first <= other.last && other.first <= self.last
    }

    /// The address `offset` after the first, if it still lies in the range.
    pub fn nth(self, offset: u128) -> Option<IpAddr> {
        let bits = to_bits(self.first).checked_add(offset)?;
        (bits <= to_bits(self.last)).then(|| from_bits(bits, self.is_ipv4()))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for AddressRange {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.contains('/') {
            return cidr(text).and_then(|net| without_mapped(Subnet::of(net).range()));
        }
        let (first, last) = text.split_once('-').ok_or_else(|| {
            Malformed::instead(
                format!("`{text}` is not a valid CIDR or address range"),
                "`172.22.255.200-172.22.255.250` or `172.22.255.192/26`",
            )
        })?;
        let (first, last) = (address(first.trim_matches(' '))?, address(last.trim_matches(' '))?);
        if first.is_ipv4() != last.is_ipv4() {
            return Err(Malformed::instead(
                "the two ends of the range are of different address families",
                "two IPv4 or two IPv6 addresses",
            ));
        }
        let range = Self::new(first, last).ok_or_else(|| {
            Malformed::instead(
                format!("the range is reversed: {first} is after {last}"),
                format!("`{last}-{first}`"),
            )
        })?;
        without_mapped(range)
    }
}

impl Text for AddressRange {
    const FORMAT: &'static str = "address-range";
    const PATTERN: &'static str = r"^[0-9a-fA-F:.]+(/[0-9]{1,3}| *- *[0-9a-fA-F:.]+)$";
}
text_type!(AddressRange);

/// Where IPv6 writes IPv4 addresses, `::ffff:0:0/96`. Programs that meet one there take it for the
/// IPv4 address, so in a range of IPv6 it would overlap what no comparison finds.
const MAPPED: AddressRange = AddressRange {
    first: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, 0, 0)),
    last: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, 0xFFFF, 0xFFFF)),
};

fn without_mapped(range: AddressRange) -> Result<AddressRange, Malformed> {
    if !range.meets(MAPPED) {
        return Ok(range);
    }
    Err(Malformed::instead(
        format!("the range contains IPv4-mapped addresses, {}", MAPPED.first),
        "IPv4 addresses as `172.22.255.200-172.22.255.250`",
    ))
}

/// A single address, as the shape check reads it.
pub(super) fn address(text: &str) -> Result<IpAddr, Malformed> {
    let addr: IpAddr = text.parse().map_err(|_| {
        let what = if text.is_empty() {
            "an address is missing".to_owned()
        } else {
            format!("`{text}` is not a valid IP address")
        };
        Malformed::instead(what, "an address such as `172.22.0.12`")
    })?;
    match mapped(addr) {
        Some(v4) => Err(Malformed::instead(
            format!("`{text}` is an IPv4-mapped address"),
            format!("`{v4}`"),
        )),
        None => Ok(addr),
    }
}

fn mapped(addr: IpAddr) -> Option<Ipv4Addr> {
    match addr {
        IpAddr::V4(_) => None,
        IpAddr::V6(addr) => addr.to_ipv4_mapped(),
    }
}

pub(super) fn cidr(text: &str) -> Result<IpNet, Malformed> {
    let (addr, length) = text.split_once('/').ok_or_else(|| match address(text) {
        Ok(addr) => {
            let usual = if addr.is_ipv4() { 24 } else { 64 };
            Malformed::instead("the prefix length is missing", format!("`{text}/{usual}`"))
        }
        Err(malformed) => {
            Malformed { instead: Some("a CIDR such as `172.22.0.0/16`".to_owned()), ..malformed }
        }
    })?;
    let parsed = addr.parse::<IpAddr>().ok();
    let most = if parsed.is_some_and(|addr| addr.is_ipv6()) { 128 } else { 32 };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let bits = length.parse::<u8>().ok().filter(|bits| digits && *bits <= most);
    if let (Some(v4), Some(bits @ 96..)) = (parsed.and_then(mapped), bits) {
        return Err(Malformed::instead(
            format!("`{addr}` is an IPv4-mapped address"),
            format!("`{v4}/{}`", bits - 96),
        ));
    }
    let addr = address(addr)?;
    let bits = bits.ok_or_else(|| {
        Malformed::instead(
            format!("invalid prefix length `{length}`"),
            format!("a number from 0 to {most} after the slash"),
        )
    })?;
    IpNet::new(addr, bits).map_err(|error| Malformed::new(error.to_string()))
}

pub(super) fn to_bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

/// The inverse of [`to_bits`]; IPv4 stops at its last address.
pub(super) fn from_bits(bits: u128, ipv4: bool) -> IpAddr {
    if ipv4 {
        IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = AddressRange> {
        (any::<IpAddr>(), any::<IpAddr>())
            .prop_filter_map("one family", |(a, b)| AddressRange::new(a.min(b), a.max(b)))
            .prop_filter("nothing IPv4-mapped", |range| !range.meets(MAPPED))
    }

    proptest! {
        #[test]
        fn a_range_is_read_back_as_it_is_shown(range in ranges()) {
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }

        #[test]
        fn a_cidr_is_the_range_it_stands_for(bits in any::<u32>(), length in 0..=32_u8) {
            let range: AddressRange = format!("{}/{length}", Ipv4Addr::from_bits(bits)).parse()?;
            prop_assert_eq!(range.count(), 1_u128 << (32 - length));
            prop_assert!(range.contains(IpAddr::V4(Ipv4Addr::from_bits(bits))));
        }

        #[test]
        fn addresses_count_from_the_first(range in ranges(), offset in any::<u64>()) {
            let offset = u128::from(offset);
            match range.nth(offset) {
                Some(addr) => prop_assert!(range.contains(addr)),
                None => prop_assert!(offset >= range.count()),
            }
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "[0-9a-f:./ -]{0,40}") {
            let _ = (text.parse::<AddressRange>(), text.parse::<Subnet>(), text.parse::<InterfaceAddress>());
        }
    }

    #[test]
    fn blanks_may_stand_around_the_dash() {
        assert_eq!("10.0.0.1 - 10.0.0.9".parse::<AddressRange>(), "10.0.0.1-10.0.0.9".parse());
    }

    #[test]
    fn what_is_not_a_range_is_refused() {
        for text in [
            "",
            "10.0.0.1",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-fd00::1",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0/24",
            "010.0.0.0/8",
            "-",
            "a-b",
            "fd00::/129",
            "::ffff:10.0.0.0/104",
            "::ffff:10.0.0.1-::ffff:10.0.0.9",
            "::/0",
            "::fffe:0:0-::1:0:0:0",
        ] {
            assert!(text.parse::<AddressRange>().is_err(), "{text:?}");
        }
    }
}
