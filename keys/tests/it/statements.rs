//! The bytes of statements: golden, strict, bounded, and signed for one kind only (P18-P20).

use data_encoding::HEXLOWER;
use proptest::collection::vec;
use proptest::prelude::*;
use testmesh_keys::key::{KeyError, PublicKey};
use testmesh_keys::rights::Rights;
use testmesh_keys::statement::{
    Deny, Entry, Kind, MAX_ANSWERS, MAX_ENTRIES, MAX_LEASE, Reason, Retire, Signed, Statement,
    StatementError, StatementId, Unverified, Vouches, signing_buffer,
};

use crate::support::{Group, config, identity, key};

fn entry(subject: usize) -> Entry {
    let answers = vec![StatementId::from_bytes([1; 32]), StatementId::from_bytes([2; 32])];
    Entry { subject: key(subject), rights: Rights::ALL, depth: 3, label: "desk".to_owned(), answers }
}

fn vouches() -> Statement {
    let mut entries = vec![entry(1), Entry { answers: vec![], rights: Rights::NONE, ..entry(2) }];
    entries.sort_by_key(|entry| entry.subject);
    let (issued_at, not_after) = (1_772_323_200, 1_772_323_200 + MAX_LEASE);
    Statement::Vouches(Vouches { issuer: key(0), version: issued_at << 16, issued_at, not_after, entries })
}

fn deny() -> Statement {
    Statement::Deny(Deny {
        issuer: key(0),
        subject: key(1),
        reason: Reason::Lost,
        issued_at: 1_772_323_200,
        nonce: *b"12345678",
        note: "left in a train".to_owned(),
    })
}

fn retire() -> Statement {
    let successor = Some(key(2));
    Statement::Retire(Retire {
        key: key(0),
        issued_at: 1_772_323_200,
        successor,
        note: "new disk".to_owned(),
    })
}

fn sign(statement: Statement) -> Signed {
    Signed::new(statement, &identity(0)).expect("within bounds")
}

fn all() -> [Signed; 3] {
    [vouches(), deny(), retire()].map(sign)
}

/// An envelope and its name, in lines of 48 bytes.
fn lines(signed: &Signed) -> String {
    let bytes: Vec<String> = signed.bytes().chunks(48).map(|line| HEXLOWER.encode(line)).collect();
    format!("{}\n{}", signed.id(), bytes.join("\n"))
}

/// Envelopes as they are on every wire and in every store: they may never change.
#[test]
fn golden_bytes() {
    let [vouches, deny, retire] = all();
    insta::assert_snapshot!(lines(&vouches), @r#"
    5pbmrvlahp4fb34dt44wxm447bzvd6pzwebqyicm6ctgwphjja3q
    8369766f75636865732f3158d18558208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c
    1b000069a3818000001a69a381801a6a1a2880828558208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25d
    f60f5b8fc9b3940303646465736b82582001010101010101010101010101010101010101010101010101010101010101
    0158200202020202020202020202020202020202020202020202020202020202020202855820ed4928c628d1c2c6eae9
    0338905995612959273a5c63f93636c14614ac8737d10003646465736b805840988139111e064bcf237e0c8cf47d271a
    f791b166f6d947444bad05fbceceec35e82c5eddb66da2eba8a874500e980c3010869564052ace5cd69ab1eacdef6408
    "#);
    insta::assert_snapshot!(lines(&deny), @r#"
    72a7xfvb3ehdlbvj3nlxvjofxwwllg2mx2c6xp5w3jvxoiownrea
    836664656e792f3158648658208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c582081
    39770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394011a69a381804831323334353637386f6c
    65667420696e206120747261696e5840b3f52f2b7906184e2d0cf828aea072bf99d709aa8c5f00e9285fb4da420ae7d4
    590ad69d3c98ae26f8aaeb0535d3ebb8cd79ab86bcd817199ebc15f64791d503
    "#);
    insta::assert_snapshot!(lines(&retire), @r#"
    4bcndpjg4hunqwefigkyzkao25b6m3ubztgp2t5p2yu43yjobjza
    83687265746972652f3158538458208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c1a
    69a381805820ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1686e6577206469736b58
    40179d8ec1fdcbd6ad680acc1780772544d19fff6c235847f45e17cbda9985ff8c25215810a136eff7922dcb99f2e369
    470a050749e39930f82b2558be4dfdc105
    "#);
    for signed in all() {
        let read = Unverified::decode(signed.bytes()).expect("canonical");
        assert_eq!(read.verify().expect("signed").statement(), signed.statement());
    }
}

#[test]
fn the_signed_buffer_names_its_domain_and_kind() {
    let buffer = signing_buffer(Kind::Deny, b"payload");
    assert_eq!(buffer, b"\x0cv8mesh-trust\x06deny/1\x07payload");
    // A Noise payload begins with `noise-libp2p-static-key:`, a gossipsub message with `libp2p-pubsub:`.
    assert!(!buffer.starts_with(b"n") && !buffer.starts_with(b"l"));
    assert_eq!(signing_buffer(Kind::Vouches, &[0; 300])[23..25], [0xac, 0x02], "lengths are uvarints");
}

#[test]
fn a_signature_of_one_kind_verifies_as_no_other() {
    for kind in Kind::ALL {
        let buffer = signing_buffer(kind, b"the same payload");
        for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
            assert_ne!(signing_buffer(other, b"the same payload"), buffer);
        }
    }
    // A denial whose tag is exchanged, and a retirement signed as bare bytes.
    let deny = sign(deny());
    let text = HEXLOWER.encode(deny.bytes());
    let renamed = text.replacen(&HEXLOWER.encode(b"\x66deny/1"), &HEXLOWER.encode(b"\x68retire/1"), 1);
    assert_ne!(renamed, text);
    assert!(Unverified::decode(&HEXLOWER.decode(renamed.as_bytes()).expect("hex")).is_err());
}

#[test]
fn another_signature_does_not_verify() {
    for signed in all() {
        let mut bytes = signed.bytes().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let read = Unverified::decode(&bytes).expect("well formed");
        assert_eq!(read.id(), signed.id(), "the name is that of the words, not of the signature");
        assert!(matches!(read.verify(), Err(StatementError::Signature)));
        let unsigned = Signed::unsigned(signed.statement().clone()).expect("within bounds");
        let read = Unverified::decode(unsigned.bytes()).expect("well formed");
        assert!(matches!(read.verify(), Err(StatementError::Signature)));
    }
    assert!(matches!(Signed::new(vouches(), &identity(1)), Err(StatementError::Issuer)));
}

#[test]
fn a_malleated_signature_does_not_verify() {
    // S + L is the same scalar for a careless verifier.
    const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = HEXLOWER.decode(L.as_bytes()).expect("hex");
    let signed = sign(deny());
    let mut bytes = signed.bytes().to_vec();
    let at = bytes.len() - 32;
    let mut carry = 0u16;
    for (byte, add) in bytes[at..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    assert!(matches!(
        Unverified::decode(&bytes).expect("well formed").verify(),
        Err(StatementError::Signature)
    ));
}

#[test]
fn weak_keys_are_no_keys() {
    let weak = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for hex in weak {
        let bytes: [u8; 32] = HEXLOWER.decode(hex.as_bytes()).expect("hex").try_into().expect("32 bytes");
        assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::Weak), "{hex}");
        assert_eq!(PublicKey::from_wire(bytes), Err(KeyError::Weak), "{hex}");
    }
    assert_eq!(PublicKey::from_bytes(&[2; 32]), Err(KeyError::NotOnCurve));
    assert_eq!(PublicKey::from_bytes(&[2; 31]), Err(KeyError::Length(31)));
}

#[test]
fn a_weak_key_inside_a_statement_is_refused() {
    let text = HEXLOWER.encode(sign(deny()).bytes());
    let subject = HEXLOWER.encode(key(1).as_bytes());
    let weak = text.replacen(&subject, &"00".repeat(32), 1);
    let read = Unverified::decode(&HEXLOWER.decode(weak.as_bytes()).expect("hex"));
    assert!(matches!(read, Err(StatementError::OutOfBounds { what: "subject" })));
}

fn refused(statement: Statement) -> StatementError {
    Signed::new(statement, &identity(0)).expect_err("out of bounds")
}

fn with_entries(entries: Vec<Entry>) -> Statement {
    Statement::Vouches(Vouches { issuer: key(0), version: 1, issued_at: 0, not_after: 1, entries })
}

#[test]
fn every_bound_holds_when_signing() {
    use StatementError::{OnItself, OutOfBounds, Unsorted};
    assert_eq!(refused(with_entries(vec![entry(0)])), OnItself { what: "vouch for" });
    let mut two = vec![entry(1), entry(2)];
    two.sort_by_key(|entry| std::cmp::Reverse(entry.subject));
    assert_eq!(refused(with_entries(two)), Unsorted { what: "entries" });
    assert_eq!(refused(with_entries(vec![entry(1), entry(1)])), Unsorted { what: "entries" });
    let answers = vec![StatementId::from_bytes([1; 32]); 2];
    assert_eq!(refused(with_entries(vec![Entry { answers, ..entry(1) }])), Unsorted { what: "answers" });
    let answers = (0..=MAX_ANSWERS as u8).map(|at| StatementId::from_bytes([at; 32])).collect();
    assert_eq!(
        refused(with_entries(vec![Entry { answers, ..entry(1) }])),
        OutOfBounds { what: "number of answers" }
    );
    for label in ["x".repeat(65), "a\u{1b}[2J".to_owned(), "a\nb".to_owned(), "\u{202e}".to_owned()] {
        assert_eq!(refused(with_entries(vec![Entry { label, ..entry(1) }])), OutOfBounds { what: "label" });
    }
    let many = vec![entry(1); MAX_ENTRIES + 1];
    assert_eq!(refused(with_entries(many)), OutOfBounds { what: "number of entries" });
    for not_after in [4, 5 + MAX_LEASE + 1] {
        let vouches = Vouches { issuer: key(0), version: 1, issued_at: 5, not_after, entries: vec![] };
        assert_eq!(refused(Statement::Vouches(vouches)), OutOfBounds { what: "lease" });
    }
    let Statement::Deny(deny) = deny() else { return };
    let on_itself = Deny { subject: key(0), ..deny.clone() };
    assert_eq!(refused(Statement::Deny(on_itself)), OnItself { what: "deny" });
    assert_eq!(
        refused(Statement::Deny(Deny { note: "x".repeat(129), ..deny })),
        OutOfBounds { what: "note" }
    );
    let Statement::Retire(retire) = retire() else { return };
    let on_itself = Retire { successor: Some(key(0)), ..retire };
    assert_eq!(refused(Statement::Retire(on_itself)), OnItself { what: "succeed" });
}

#[test]
fn hostile_cbor_is_refused_without_room_for_it() {
    let hostile: [&[u8]; 9] = [
        b"",
        // An array, a map and a byte string that claim 2^64 - 1 items.
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x83\x66deny/1\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        // Indefinite lengths, a tag, a float.
        b"\x9f\x66deny/1\xff",
        b"\x83\x66deny/1\x5f\x41\x00\xff",
        b"\xc1\x83\x66deny/1",
        b"\x83\xfb\x00\x00\x00\x00\x00\x00\x00\x00",
        // Another format of a known kind.
        b"\x83\x66deny/2\x40\x40",
    ];
    for bytes in hostile {
        assert!(Unverified::decode(bytes).is_err(), "{bytes:02x?}");
    }
    for nested in [0x81u8, 0x9f, 0xc1, 0xa1, 0x5f] {
        assert!(Unverified::decode(&vec![nested; 30_000]).is_err());
    }
    assert!(matches!(Unverified::decode(&[0; 70_000]), Err(StatementError::TooLong { len: 70_000, .. })));
}

#[test]
fn longer_forms_of_the_same_words_are_refused() {
    let bytes = sign(deny()).bytes().to_vec();
    // The tag's length in two bytes instead of one.
    let mut longer = vec![bytes[0], 0x78, 0x06];
    longer.extend(&bytes[2..]);
    assert_eq!(Unverified::decode(&longer).err(), Some(StatementError::NotCanonical));
    let mut trailing = bytes;
    trailing.push(0);
    assert_eq!(Unverified::decode(&trailing).err(), Some(StatementError::NotCanonical));
}

/// Rights, depth, label, answers.
type AnyEntry = (u8, u8, String, Vec<[u8; 32]>);

fn any_statement() -> impl Strategy<Value = Statement> {
    let text = "[a-z ü]{0,20}";
    let entry = (0..4u8, any::<u8>(), text, vec(any::<[u8; 32]>(), 0..=MAX_ANSWERS));
    let entries = vec(entry, 0..5).prop_map(|all| {
        let make = |(at, (rights, depth, label, answers)): (usize, AnyEntry)| {
            let mut answers: Vec<StatementId> = answers.into_iter().map(StatementId::from_bytes).collect();
            answers.sort_unstable();
            answers.dedup();
            let rights = Rights::from_bits(rights).expect("two bits");
            Entry { subject: key(at + 1), rights, depth, label, answers }
        };
        let mut entries: Vec<Entry> = all.into_iter().enumerate().map(make).collect();
        entries.sort_by_key(|entry| entry.subject);
        entries
    });
    let vouches = (any::<u64>(), 0..u64::MAX - MAX_LEASE, 0..=MAX_LEASE, entries).prop_map(
        |(version, issued_at, lease, entries)| {
            let not_after = issued_at + lease;
            Statement::Vouches(Vouches { issuer: key(0), version, issued_at, not_after, entries })
        },
    );
    let deny = (any::<u64>(), any::<[u8; 8]>(), text, prop::sample::select(Reason::ALL.to_vec())).prop_map(
        |(issued_at, nonce, note, reason)| {
            Statement::Deny(Deny { issuer: key(0), subject: key(1), reason, issued_at, nonce, note })
        },
    );
    let retire = (any::<u64>(), any::<bool>(), text).prop_map(|(issued_at, next, note)| {
        Statement::Retire(Retire { key: key(0), issued_at, successor: next.then(|| key(1)), note })
    });
    prop_oneof![vouches, deny, retire]
}

proptest! {
    #![proptest_config(config(Group::Statements, 64))]

    #[test]
    fn what_is_encoded_decodes_to_itself(statement in any_statement()) {
        let signed = Signed::unsigned(statement.clone()).expect("within bounds");
        let read = Unverified::decode(signed.bytes()).expect("canonical");
        prop_assert_eq!(read.statement(), &statement);
        prop_assert_eq!(read.id(), signed.id());
        prop_assert!(signed.bytes().len() <= statement.kind().max_payload() + 96);
    }

    #[test]
    fn changed_bytes_are_refused_or_are_the_one_form_of_something_else(
        statement in any_statement(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
        cut in any::<bool>(),
    ) {
        let signed = Signed::unsigned(statement).expect("within bounds");
        let mut bytes = signed.bytes().to_vec();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
            prop_assert!(Unverified::decode(&bytes).is_err());
        } else {
            bytes[at] ^= flip;
            if let Ok(read) = Unverified::decode(&bytes) {
                let (statement, id) = (read.statement().clone(), read.id());
                let whole = read.assume_verified();
                prop_assert_eq!(whole.bytes(), &bytes[..]);
                let again = Signed::unsigned(statement).expect("what decodes encodes");
                prop_assert_eq!(again.id(), id);
                prop_assert_eq!(&again.bytes()[..again.bytes().len() - 64], &bytes[..bytes.len() - 64]);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        let read = Unverified::decode(&bytes);
        prop_assert!(read.is_err() || bytes.len() > 64);
    }
}
