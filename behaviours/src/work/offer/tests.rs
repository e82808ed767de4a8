//! Every field of an offer is signed, and none but its audience takes it.

use std::time::Duration;

use libp2p::identity::Keypair;
use proptest::prelude::*;

use super::*;
use crate::work::wire::{JobId, Ladder, Limits};

const NOW: u64 = 1_000_000;

fn keypair(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).unwrap()
}

fn key(number: u8) -> NodeKey {
    NodeKey::of(&keypair(number).public().to_peer_id()).unwrap()
}

fn sign(number: u8) -> impl FnOnce(&[u8]) -> [u8; 64] {
    move |bytes| keypair(number).sign(bytes).unwrap().try_into().unwrap()
}

fn verify(key: &NodeKey, bytes: &[u8], signature: &[u8; 64]) -> bool {
    let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(&key.bytes()).unwrap();
    key.verify(bytes, signature)
}

fn job(sequence: u32) -> Job {
    let cwd = RootedPath { root: Root::Workspace, path: String::new() };
    Job {
        id: JobId { run: 7, sequence, attempt: 0 },
        argv: vec![Arg::Path(RootedPath { root: Root::Build, path: "d8".to_owned() })],
        env: vec![("A".to_owned(), Arg::Text("b".to_owned()))],
        cwd,
        limits: Limits { wall: Duration::from_secs(60), output: 1 << 20, ladder: Ladder::Kill },
    }
}

fn offer() -> Offer {
    Offer {
        run: RunId(7),
        submitter: key(1),
        audience: key(2),
        sequence: 0,
        expires: NOW + 60,
        nonce: ByteArray::new([3; 16]),
        inputs: vec![InputDigest { root: Root::Build, manifest: BlobId::new([4; 32]) }],
        jobs: vec![job(0), job(1)],
    }
}

fn open(signed: &SignedOffer) -> Result<Offer, OfferError> {
    signed.open(&key(1), &key(2), NOW, verify)
}

#[test]
fn an_honest_offer_opens() {
    let signed = SignedOffer::new(&offer(), sign(1)).unwrap();
    assert_eq!(open(&signed), Ok(offer()));
}

#[test]
fn what_is_signed_can_be_no_handshake_and_no_gossip() {
    let bytes = signing_bytes(b"payload");
    assert_eq!(bytes, b"\x0ctestmesh-job\x07offer/1\x07payload");
    assert!(!bytes.starts_with(b"noise-libp2p-static-key:") && !bytes.starts_with(b"libp2p-pubsub:"));
    assert_eq!(signing_bytes(&[0; 300])[21..23], [0xac, 0x02], "lengths above 127 take two bytes");
}

/// Stands in for a signature where there are too many to make.
fn seal(bytes: &[u8]) -> [u8; 64] {
    let mut seal = [0; 64];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut seal);
    seal
}

fn sealed(bytes: Vec<u8>) -> Result<Offer, OfferError> {
    let signature = ByteArray::new(seal(&signing_bytes(&bytes)));
    let signed = SignedOffer { bytes: bytes.into(), signature };
    signed.open(&key(1), &key(2), NOW, |_, bytes, signature| seal(bytes) == *signature)
}

#[test]
fn every_changed_byte_breaks_the_signature() {
    let signed = SignedOffer::new(&offer(), seal).unwrap();
    let open = |offer: &SignedOffer| {
        offer.open(&key(1), &key(2), NOW, |_, bytes, signature| seal(bytes) == *signature)
    };
    assert!(open(&signed).is_ok());
    for index in 0..signed.bytes.len() {
        let mut changed = signed.clone();
        changed.bytes[index] ^= 1;
        assert_eq!(open(&changed), Err(OfferError::Signature), "byte {index}");
    }
}

#[test]
fn a_changed_signature_is_none() {
    let mut signed = SignedOffer::new(&offer(), sign(1)).unwrap();
    signed.signature[0] ^= 1;
    assert_eq!(open(&signed), Err(OfferError::Signature));
}

#[test]
fn nobody_elses_offer_is_taken() {
    let refused = |offer: &Offer| open(&SignedOffer::new(offer, sign(1)).unwrap()).unwrap_err();
    assert_eq!(refused(&Offer { submitter: key(3), ..offer() }), OfferError::Mismatch("submitter"));
    assert_eq!(refused(&Offer { audience: key(3), ..offer() }), OfferError::Mismatch("audience"));
    assert_eq!(refused(&Offer { run: RunId(8), ..offer() }), OfferError::Mismatch("run"));
    let by_another = SignedOffer::new(&offer(), sign(3)).unwrap();
    assert_eq!(open(&by_another), Err(OfferError::Signature));
}

#[test]
fn an_offer_has_its_time() {
    let at = |expires| open(&SignedOffer::new(&Offer { expires, ..offer() }, sign(1)).unwrap());
    assert_eq!(at(NOW), Err(OfferError::Expired { expires: NOW, now: NOW }));
    assert!(at(NOW + 1).is_ok() && at(NOW + LIFE_MAX).is_ok());
    assert!(at(NOW + LIFE_MAX + 1).is_err() && at(u64::MAX).is_err());
}

#[test]
fn bounds_hold_on_both_sides() {
    let jobs = vec![job(0); JOBS_MAX + 1];
    let most = Offer { jobs: jobs[1..].to_vec(), ..offer() };
    assert!(open(&SignedOffer::new(&most, sign(1)).unwrap()).is_ok());
    let many = Offer { jobs, ..offer() };
    let excess = Excess { part: "jobs", size: JOBS_MAX + 1, most: JOBS_MAX };
    assert_eq!(SignedOffer::new(&many, sign(1)), Err(OfferError::Excess(excess.clone())));
    // A submitter that does not check itself.
    let bytes = cbor4ii::serde::to_vec(Vec::new(), &many).unwrap();
    let signature = ByteArray::new(sign(1)(&signing_bytes(&bytes)));
    assert_eq!(open(&SignedOffer { bytes: bytes.into(), signature }), Err(OfferError::Excess(excess)));
}

#[test]
fn signed_rubbish_is_refused() {
    let mut bytes = cbor4ii::serde::to_vec(Vec::new(), &offer()).unwrap();
    bytes.push(0);
    let signed = |bytes: Vec<u8>| SignedOffer {
        signature: ByteArray::new(sign(1)(&signing_bytes(&bytes))),
        bytes: bytes.into(),
    };
    assert!(matches!(open(&signed(bytes)), Err(OfferError::Malformed(_))), "bytes behind the offer");
    assert!(matches!(open(&signed(vec![0x81; 10_000])), Err(OfferError::Malformed(_))));
    assert!(matches!(open(&signed(Vec::new())), Err(OfferError::Malformed(_))));
}

fn cases() -> u32 {
    std::env::var("TESTMESH_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// No bytes of a trusted but broken submitter do more than be refused or be an offer that encodes to them.
    #[test]
    fn signed_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(offer) = sealed(bytes.clone()) {
            prop_assert_eq!(cbor4ii::serde::to_vec(Vec::new(), &offer).unwrap(), bytes);
        }
    }

    /// An offer with one byte changed, signed all the same, is refused or still for us.
    #[test]
    fn changed_offers_never_panic(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = cbor4ii::serde::to_vec(Vec::new(), &offer()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(offer) = sealed(bytes) {
            prop_assert_eq!((offer.submitter, offer.audience), (key(1), key(2)));
        }
    }
}
