//! What is missing between this machine and another, and what to type about it.

use super::words::{peer_name, safe, span, trusts, typed};
use crate::local::wire::{Peer, Refusal, Rights, Standing};

/// What is missing for a peer, in one line that ends with a command where there is one; none where work flows.
pub(crate) fn missing(peer: &Peer) -> Option<String> {
    match &peer.standing {
        Standing::Stranger => Some(stranger(peer)),
        Standing::Refused(refusal) => Some(refused(peer, refusal)),
        Standing::Trusted { .. } if !peer.connected => Some(absent(peer)),
        Standing::Trusted { .. } => untrusting(peer),
    }
}

/// The name or key to type for a peer.
pub(crate) fn typed_name(peer: &Peer) -> String {
    let label = peer.label.as_deref().filter(|label| !label.is_empty());
    typed(label.unwrap_or(&peer.name), &peer.key)
}

/// To approve a key that never proved itself here would lead to nothing, such as one of a mesh with another name.
fn stranger(peer: &Peer) -> String {
    if !peer.connected && peer.version.is_none() {
        let name = peer_name(peer);
        return match &peer.trouble {
            Some(trouble) => format!(
                "{name} was seen and cannot be connected to: {}. Does it belong to another mesh (`mesh` in its settings)?",
                safe(trouble)
            ),
            None => format!("{name} was seen and is not connected yet."),
        };
    }
    let theirs = match peer.trusts_you {
        Some(rights) if rights.any() => " It trusts you already.",
        _ => "",
    };
    format!("{} is not approved here.{theirs} `meshctl approve {}`", peer_name(peer), typed_name(peer))
}

fn refused(peer: &Peer, refusal: &Refusal) -> String {
    let name = peer_name(peer);
    let typed = typed_name(peer);
    match refusal {
        Refusal::Denied { by, reason, id, .. } => format!(
            "{name} was denied by {} ({reason}). If you know better: `meshctl approve {typed} --despite {}`",
            super::words::name(by),
            safe(id)
        ),
        Refusal::Retired { successor: Some(key) } => format!(
            "{name} ended its key and says the next one is {key}. Check with its owner, then `meshctl approve {key}`"
        ),
        Refusal::Retired { successor: None } => {
            format!("{name} ended its key. With a new key of its owner: `meshctl approve KEYFILE`")
        }
        Refusal::Blocked => format!("{name} is blocked on this machine. `meshctl unblock {typed}`"),
        Refusal::Lapsed => {
            format!("{name} was trusted; every path lost its lease or its right. `meshctl why {typed}`")
        }
    }
}

fn absent(peer: &Peer) -> String {
    let name = peer_name(peer);
    if let Some(trouble) = &peer.trouble {
        return format!(
            "{name} cannot be reached: {}. Is its node up? `meshctl dial ADDRESS`",
            safe(trouble)
        );
    }
    match peer.last_seen {
        Some(ago) => format!("{name} left {} ago.", span(ago)),
        None => format!(
            "{name} has not been seen. Run `meshctl start` there; from another network, `meshctl dial ADDRESS` here"
        ),
    }
}

fn untrusting(peer: &Peer) -> Option<String> {
    let name = peer_name(peer);
    match peer.trusts_you {
        None => Some(format!("{name} has not said yet whether it trusts you.")),
        Some(Rights::ALL) => None,
        Some(rights) if rights.any() => Some(format!(
            "{name} trusts you with part: {}. Its owner can widen that with `meshctl approve`",
            trusts(peer.trusts_you)
        )),
        Some(_) => Some(format!(
            "{name} does not trust you. Here: `meshctl key export > KEYFILE`; there: `meshctl approve KEYFILE`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::wire::sample;

    #[test]
    fn every_peer_says_what_it_lacks() {
        let mut peers = sample::peers();
        let mut more = peers[4].clone();
        more.standing = Standing::Refused(Refusal::Retired { successor: Some(sample::KEY) });
        peers.push(more.clone());
        more.standing = Standing::Refused(Refusal::Retired { successor: None });
        peers.push(more.clone());
        more.standing = Standing::Refused(Refusal::Blocked);
        peers.push(more.clone());
        more.standing = Standing::Refused(Refusal::Lapsed);
        peers.push(more);
        let mut silent = peers[0].clone();
        silent.trusts_you = None;
        peers.push(silent.clone());
        silent.connected = false;
        peers.push(silent.clone());
        silent.last_seen = None;
        peers.push(silent);
        let mut seen = peers[4].clone();
        seen.connected = false;
        peers.push(seen.clone());
        seen.trouble = Some("unreachable: handshake failed\u{1b}".to_owned());
        peers.push(seen.clone());
        // It was connected before.
        seen.version = Some("0.1.0".to_owned());
        peers.push(seen);
        let text: Vec<String> =
            peers.iter().map(|peer| missing(peer).unwrap_or_else(|| "nothing".to_owned())).collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        nothing
        "carol-rack" trusts you with part: work only. Its owner can widen that with `meshctl approve`
        "dave-ci" does not trust you. Here: `meshctl key export > KEYFILE`; there: `meshctl approve KEYFILE`
        "mallet" was denied by "bob-lap" (lost). If you know better: `meshctl approve mallet --despite mfrggzdf`
        "al\x1b[31mice\u{202e}" is not approved here. It trusts you already. `meshctl approve ed25519:4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hqq`
        (6dypb4hq) cannot be reached: unreachable: connection refused. Is its node up? `meshctl dial ADDRESS`
        "al\x1b[31mice\u{202e}" ended its key and says the next one is ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq. Check with its owner, then `meshctl approve ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq`
        "al\x1b[31mice\u{202e}" ended its key. With a new key of its owner: `meshctl approve KEYFILE`
        "al\x1b[31mice\u{202e}" is blocked on this machine. `meshctl unblock ed25519:4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hqq`
        "al\x1b[31mice\u{202e}" was trusted; every path lost its lease or its right. `meshctl why ed25519:4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hqq`
        alice has not said yet whether it trusts you.
        alice left 2 s ago.
        alice has not been seen. Run `meshctl start` there; from another network, `meshctl dial ADDRESS` here
        "al\x1b[31mice\u{202e}" was seen and is not connected yet.
        "al\x1b[31mice\u{202e}" was seen and cannot be connected to: unreachable: handshake failed\x1b. Does it belong to another mesh (`mesh` in its settings)?
        "al\x1b[31mice\u{202e}" is not approved here. It trusts you already. `meshctl approve ed25519:4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hqq`
        "#);
    }
}
