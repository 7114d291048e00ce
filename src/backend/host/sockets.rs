//! Who listens: the kernel's tables of sockets, and the programs that hold them.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use super::Program;

/// The state of a tcp socket that listens, and of a udp socket that is not connected.
const LISTENING: &str = "0A";
const UNCONNECTED: &str = "07";

/// A socket that takes what comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    pub at: SocketAddr,
    inode: u64,
}

impl Listening {
    /// Whether it takes connections to this address: its own, or any of its family. An IPv6 socket
    /// for any address takes IPv4 too unless it was told not to, which the table does not show.
    pub fn takes(&self, place: SocketAddr) -> bool {
        let any = self.at.ip().is_unspecified();
        self.at.port() == place.port()
            && (self.at.ip() == place.ip()
                || any && (self.at.is_ipv6() || self.at.is_ipv4() == place.is_ipv4()))
    }
}

/// A program of this machine that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub at: SocketAddr,
    /// None where the process belongs to another user.
    pub process: Option<(u32, String)>,
}

/// The sockets of `/proc/net/tcp`, `tcp6`, `udp` and `udp6` that listen, in one text or several.
pub fn listening(tables: &str) -> Vec<Listening> {
    let listening = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let listens = [LISTENING, UNCONNECTED].contains(columns.get(3)?);
        let inode = columns.get(9)?.parse().ok()?;
        listens.then_some(Listening { at: address(columns.get(1)?)?, inode })
    };
    tables.lines().filter_map(listening).collect()
}

/// `0100007F:1F90`: words of four bytes as the machine has them, which on all that topo runs on is
/// the lowest byte first; then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = (0..address.len() / 8)
        .map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok());
    let bytes: Vec<u8> =
        words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_le_bytes).collect();
    let ip: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// The programs of this machine that take what comes to an address, or why they cannot be told.
pub async fn listeners(place: SocketAddr, udp: bool) -> Result<Vec<Listener>, String> {
    match tables(udp) {
        Some(tables) => Ok(in_tables(&tables, |socket| socket.takes(place))),
        None => from_lsof(place, udp).await,
    }
}

/// Of any of these ports, as far as the kernel's tables tell.
pub fn listeners_in(address: IpAddr, ports: RangeInclusive<u16>, udp: bool) -> Vec<Listener> {
    let takes = |socket: &Listening| {
        let port = socket.at.port();
        ports.contains(&port) && socket.takes(SocketAddr::new(address, port))
    };
    tables(udp).map(|tables| in_tables(&tables, takes)).unwrap_or_default()
}

/// None where there is no /proc.
fn tables(udp: bool) -> Option<String> {
    let names = if udp { ["udp", "udp6"] } else { ["tcp", "tcp6"] };
    let tables = names.map(|name| fs::read_to_string(format!("/proc/net/{name}")));
    let is_there = tables.iter().any(Result::is_ok);
    is_there.then(|| tables.map(Result::unwrap_or_default).concat())
}

fn in_tables(tables: &str, takes: impl Fn(&Listening) -> bool) -> Vec<Listener> {
    let found: Vec<Listening> = listening(tables).into_iter().filter(takes).collect();
    let mut holders = HashMap::new();
    if !found.is_empty() {
        holders = holders_of(&found);
    }
    let listener =
        |socket: &Listening| Listener { at: socket.at, process: holders.remove(&socket.inode) };
    found.iter().map(listener).collect()
}

/// The processes that have these sockets open, as far as this user may see.
fn holders_of(sockets: &[Listening]) -> HashMap<u64, (u32, String)> {
    let mut holders = HashMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for file in open {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            let Some(inode) = inode.and_then(|inode| inode.parse::<u64>().ok()) else { continue };
            if sockets.iter().any(|socket| socket.inode == inode) {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                holders.insert(inode, (pid, name.trim().to_owned()));
            }
        }
    }
    holders
}

/// Without /proc.
async fn from_lsof(place: SocketAddr, udp: bool) -> Result<Vec<Listener>, String> {
    let (what, state): (_, &[&str]) = if udp { ("UDP", &[]) } else { ("TCP", &["-sTCP:LISTEN"]) };
    let lsof = Program::new("lsof").args(["-nP", "-Fpcn"]).args(state.iter().copied());
    let listed = lsof.arg(format!("-i{what}:{}", place.port())).run(|_| {}).await;
    match listed {
        Ok(text) => Ok(read_lsof(&text, place)),
        // It ends with 1 where it finds nothing.
        Err(super::ProcessError::Failed { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// `p1234`, `cpython3`, `f3`, `n127.0.0.1:8080`, each on a line of its own.
fn read_lsof(text: &str, place: SocketAddr) -> Vec<Listener> {
    let (mut pid, mut name) = (0, String::new());
    let mut found = Vec::new();
    for line in text.lines() {
        match line.split_at_checked(1) {
            Some(("p", number)) => pid = number.parse().unwrap_or_default(),
            Some(("c", command)) => command.clone_into(&mut name),
            Some(("n", at)) => {
                let any = at.strip_prefix("*:").map(|port| format!("[::]:{port}"));
                let Ok(at) = any.as_deref().unwrap_or(at).parse() else { continue };
                let socket = Listening { at, inode: 0 };
                if socket.takes(place) {
                    found.push(Listener { at, process: Some((pid, name.clone())) });
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_read_from_the_kernels_tables() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 2 0\n\
            1: 0100007F:0051 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 42 2 0\n\
            sl  local_address                         remote_address                        st\n\
            0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4214854 2 0\n\
            1: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 43 2 0\n";
        let found: Vec<String> =
            listening(table).iter().map(|socket| socket.at.to_string()).collect();
        assert_eq!(found, ["127.0.0.1:80", "[::]:8080", "[::1]:8081"]);
    }

    #[test]
    fn a_socket_for_any_address_takes_connections_to_each() {
        let takes = |at: &str, place: &str| {
            let socket = Listening { at: at.parse().expect("a place"), inode: 0 };
            socket.takes(place.parse().expect("a place"))
        };
        assert!(takes("0.0.0.0:80", "10.244.0.3:80") && takes("[::]:80", "10.244.0.3:80"));
        assert!(!takes("127.0.0.1:80", "10.244.0.3:80"));
        assert!(!takes("0.0.0.0:80", "[fd00::1]:80") && !takes("0.0.0.0:81", "10.244.0.3:80"));
    }

    #[tokio::test]
    async fn a_listener_is_told_with_its_process() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let place = socket.local_addr().expect("is bound");
        let found = listeners(place, false).await.expect("can be told");
        let own = std::process::id();
        assert!(
            matches!(&found[..], [Listener { process: Some((pid, _)), .. }] if *pid == own),
            "{found:?}"
        );
    }

    #[test]
    fn lsof_is_read_by_its_letters() {
        let text = "p1234\ncpython3\nf3\nn*:8080\np1235\ncnode\nf20\nn192.168.1.7:8080\n";
        let found = read_lsof(text, "127.0.0.1:8080".parse().expect("a place"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].process, Some((1234, "python3".to_owned())));
    }
}
