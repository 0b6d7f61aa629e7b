//! Which address the workers reach the dispatcher at.
//!
//! On one machine that is the loopback interface, which nobody outside can reach. Otherwise the routing table knows: for
//! each address of a worker's host it tells which of our own addresses a packet to it would leave from. The one that
//! most hosts are reached from wins. Addresses that both sides have (bridges of containers) say nothing.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The addresses of this machine that others might know, IPv4 first.
pub(in crate::comm) fn own() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> =
        interfaces.iter().filter(|i| !i.is_loopback() && !i.is_link_local()).map(|i| i.ip()).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses
}

/// Our address on the way to another one. Nothing is sent.
fn on_the_way_to(other: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if other.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((other, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Where the dispatcher listens: loopback when `others`, the addresses of each worker on another host, is empty; none
/// when no way to them is known.
pub(in crate::comm) fn choose(own: &[IpAddr], others: &[Vec<IpAddr>]) -> Option<IpAddr> {
    choose_by(own, others, on_the_way_to)
}

fn choose_by(own: &[IpAddr], others: &[Vec<IpAddr>], way: impl Fn(IpAddr) -> Option<IpAddr>) -> Option<IpAddr> {
    if others.is_empty() {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let mut votes: Vec<(usize, IpAddr)> = Vec::new();
    for host in others {
        let mut ways: Vec<IpAddr> = Vec::new();
        for from in host.iter().filter(|other| !own.contains(other)).filter_map(|other| way(*other)) {
            if !ways.contains(&from) {
                ways.push(from);
            }
        }
        for from in ways {
            match votes.iter_mut().find(|(_, address)| *address == from) {
                Some((votes, _)) => *votes += 1,
                None => votes.push((1, from)),
            }
        }
    }
    let most = votes.iter().map(|(votes, _)| *votes).max()?;
    votes.into_iter().find(|(votes, _)| *votes == most).map(|(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn one_machine_talks_over_loopback() {
        assert_eq!(choose(&own(), &[]), Some(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn the_way_that_most_hosts_are_reached_by_wins() {
        let own = ips(&["172.17.0.1", "192.168.7.1", "10.0.0.1"]);
        let way = |to: IpAddr| match to.to_string().as_str() {
            ip if ip.starts_with("10.") => Some(own[2]),
            ip if ip.starts_with("192.168.") => Some(own[1]),
            _ => None,
        };
        // All hosts have the same bridge; only one is in the other network, too.
        let hosts = [
            ips(&["172.17.0.1", "192.168.7.2", "10.0.0.2"]),
            ips(&["172.17.0.1", "10.0.0.3"]),
            ips(&["172.17.0.1", "10.0.0.4"]),
        ];
        assert_eq!(choose_by(&own, &hosts, way), Some(own[2]));
        assert_eq!(choose_by(&own, &[ips(&["172.17.0.1"])], way), None);
    }
}
