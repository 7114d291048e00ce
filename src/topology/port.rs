//! Ports, ranges of them, and where a range listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Malformed, Text, text_type};

#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Proto {
    #[default]
    Tcp,
    Udp,
}

impl Proto {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One port or a run of them, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// A single port; `None` for 0, which names no port.
    pub fn one(port: u16) -> Option<Self> {
        Self::new(port, port)
    }

    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    pub fn first(self) -> u16 {
        self.first
    }

    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports it holds.
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    pub fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    pub fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    pub fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for PortRange {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => port(text).map(|port| (port, port))?,
        };
        Self::new(first, last).ok_or_else(|| {
            Malformed::instead(
                format!("the range is reversed: {first} is after {last}"),
                format!("`{last}-{first}`"),
            )
        })
    }
}

impl Text for PortRange {
    const FORMAT: &'static str = "port-range";
    const PATTERN: &'static str = "^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$";
    const INTEGER: bool = true;
}
text_type!(PortRange);

/// A port as decimal digits, nothing before, between or after them.
fn port(text: &str) -> Result<u16, Malformed> {
    if text.is_empty() {
        return Err(Malformed::instead(
            "a port is missing",
            "a number from 1 to 65535, or a range such as `10000-10099`",
        ));
    }
    if let Some(other) = text.chars().find(|c| !c.is_ascii_digit()) {
        return Err(Malformed::instead(
            format!("`{text}` is not a valid port: unexpected {other:?}"),
            "a number from 1 to 65535, or a range such as `10000-10099`",
        ));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(Malformed::instead(
            "a port cannot have leading zeros",
            format!("`{}`", text.trim_start_matches('0')),
        ));
    }
    match text.parse::<u16>() {
        Ok(0) => Err(Malformed::instead("port 0 is not a valid port", "a number from 1 to 65535")),
        Ok(port) => Ok(port),
        Err(_) => Err(Malformed::instead(
            format!("port {text} is out of range"),
            "a number from 1 to 65535",
        )),
    }
}

/// Where ports listen, as written: the address may be left to what the entry lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenSpec {
    pub addr: Option<IpAddr>,
    pub ports: PortRange,
    pub proto: Proto,
}

impl ListenSpec {
    /// The address filled in: this machine only, unless one was written.
    pub fn resolved(self) -> Listen {
        Listen {
            addr: self.addr.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            ports: self.ports,
            proto: self.proto,
        }
    }
}

impl fmt::Display for ListenSpec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.addr {
            Some(_) => self.resolved().fmt(f),
            None => write!(f, "{}/{}", self.ports, self.proto),
        }
    }
}

impl FromStr for ListenSpec {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (rest, proto) = match text.split_once('/') {
            Some((rest, "tcp")) => (rest, Proto::Tcp),
            Some((rest, "udp")) => (rest, Proto::Udp),
            Some((rest, other)) => {
                return Err(Malformed::instead(
                    format!("unknown protocol `{other}`"),
                    format!("`{rest}/tcp` or `{rest}/udp`"),
                ));
            }
            None => (text, Proto::Tcp),
        };
        let (addr, ports) = address_and_ports(rest)?;
        Ok(Self { addr, ports: ports.parse()?, proto })
    }
}

impl Text for ListenSpec {
    const FORMAT: &'static str = "listen";
    const PATTERN: &'static str =
        r"^((\[[0-9a-fA-F:.]+\]|[0-9.]+):)?[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?(/(tcp|udp))?$";
    const INTEGER: bool = true;
}
text_type!(ListenSpec);

fn address_and_ports(text: &str) -> Result<(Option<IpAddr>, &str), Malformed> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (inside, after) = bracketed.split_once(']').ok_or_else(|| {
            Malformed::instead("missing `]` after the IPv6 address", "`[::1]:10021`")
        })?;
        let ports = after.strip_prefix(':').ok_or_else(|| {
            Malformed::instead("missing `:` and a port after `]`", format!("`[{inside}]:10021`"))
        })?;
        let invalid = || {
            Malformed::instead(
                format!("`{inside}` is not a valid IPv6 address"),
                "an address such as `[::1]:10021`",
            )
        };
        let addr: Ipv6Addr = inside.parse().map_err(|_| invalid())?;
        return match addr.to_ipv4_mapped() {
            Some(v4) => Err(Malformed::instead(
                format!("`{inside}` is an IPv4-mapped address"),
                format!("`{v4}:{ports}`"),
            )),
            None => Ok((Some(IpAddr::V6(addr)), ports)),
        };
    }
    let Some((host, ports)) = text.rsplit_once(':') else {
        return Ok((None, text));
    };
    if host.contains(':') {
        return Err(Malformed::instead(
            "an IPv6 address must be in brackets",
            format!("`\"[{host}]:{ports}\"`"),
        ));
    }
    match host.parse() {
        Ok(addr) => Ok((Some(IpAddr::V4(addr)), ports)),
        Err(_) if host.parse::<PortRange>().is_ok() => Err(Malformed::instead(
            "only the port of this machine belongs here, not the target's",
            format!("`{host}`; a forward has the target's port under `to`"),
        )),
        Err(_) if host == "localhost" => Err(Malformed::instead(
            "host names are not supported here",
            format!("`127.0.0.1:{ports}`"),
        )),
        Err(_) => Err(Malformed::instead(
            format!("`{host}` is not a valid IPv4 address"),
            format!("an address such as `127.0.0.1:{ports}`"),
        )),
    }
}

/// Where ports listen. Displayed, it is the id of what listens there: `127.0.0.1:10080-10082/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listen {
    pub addr: IpAddr,
    pub ports: PortRange,
    pub proto: Proto,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.addr {
            IpAddr::V4(addr) => write!(f, "{addr}:{}/{}", self.ports, self.proto),
            IpAddr::V6(addr) => write!(f, "[{addr}]:{}/{}", self.ports, self.proto),
        }
    }
}

impl FromStr for Listen {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.parse().map(ListenSpec::resolved)
    }
}

impl Text for Listen {
    const FORMAT: &'static str = "listen-address";
    const PATTERN: &'static str = ListenSpec::PATTERN;
    const INTEGER: bool = true;
}
text_type!(Listen);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = PortRange> {
        (1..=u16::MAX, 1..=u16::MAX)
            .prop_filter_map("sorted", |(a, b)| PortRange::new(a.min(b), a.max(b)))
    }

    fn listens() -> impl Strategy<Value = Listen> {
        let address =
            any::<IpAddr>().prop_filter("not IPv4-mapped", |addr| addr.to_canonical() == *addr);
        (address, ranges(), any::<bool>()).prop_map(|(addr, ports, udp)| Listen {
            addr,
            ports,
            proto: if udp { Proto::Udp } else { Proto::Tcp },
        })
    }

    proptest! {
        #[test]
        fn a_range_is_read_back_as_it_is_shown(range in ranges()) {
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }

        #[test]
        fn what_listens_is_read_back_as_it_is_shown(listen in listens()) {
            prop_assert_eq!(listen.to_string().parse(), Ok(listen));
        }

        #[test]
        fn ranges_meet_when_they_share_a_port(a in ranges(), b in ranges()) {
            prop_assert_eq!(a.meets(b), a.first().max(b.first()) <= a.last().min(b.last()));
            prop_assert!(!a.covers(b) || a.meets(b) && b.ports().all(|port| a.contains(port)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = text.parse::<ListenSpec>();
        }
    }

    #[test]
    fn the_canonical_form_names_address_range_and_protocol() {
        let shown = |text: &str| text.parse::<Listen>().map(|listen| listen.to_string());
        assert_eq!(shown("10001"), Ok("127.0.0.1:10001/tcp".to_owned()));
        assert_eq!(shown("10080-10082/udp"), Ok("127.0.0.1:10080-10082/udp".to_owned()));
        assert_eq!(shown("[::1]:10021/tcp"), Ok("[::1]:10021/tcp".to_owned()));
    }

    #[test]
    fn what_is_not_plain_digits_is_refused() {
        for text in [
            "", "0", "65536", "010", "+1", "-1", "0x10", "1e3", " 80", "80 ", "8 0", "2-1", "1-",
            "-2", "1-2-3", "ssh", "٣", "1.5", "80/", "80/TCP", ":80", "[::1]", "[::1:80", "::1:80",
        ] {
            assert!(text.parse::<ListenSpec>().is_err(), "{text:?}");
        }
    }
}
