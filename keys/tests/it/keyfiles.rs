//! Key files and the text forms of keys: what is written, what is read, and the words of every error.

use testmesh_keys::key::{KeyError, PublicKey};
use testmesh_keys::keyfile::{self, KeyFile, KeyFileError};

use crate::support::key;

#[test]
fn an_exported_key_file() {
    insta::assert_snapshot!(keyfile::export("desk-alice", &key(0)).expect("a name"), @r#"
    ----- testmesh key -----
    name: desk-alice
    key: ed25519:rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa
    checksum: eb9ce7f3
    words: local radio replace indoor work divert delay swallow credit that slogan now
    ----- end -----
    "#);
}

#[test]
fn every_form_reads_back() {
    let file = keyfile::export("desk alice", &key(0)).expect("a name");
    let named = KeyFile { name: "desk alice".to_owned(), key: key(0) };
    let bare = KeyFile { name: String::new(), key: key(0) };
    assert_eq!(keyfile::parse(&file), Ok(named.clone()));
    assert_eq!(keyfile::parse(&format!("Hi Bob,\r\n{}\r\nbye", file.replace('\n', "\r\n"))), Ok(named));
    assert_eq!(keyfile::parse(&format!("  {}\n", key(0))), Ok(bare));
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
               -----END PUBLIC KEY-----\n";
    let hex = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    let read = keyfile::parse(pem).expect("RFC 8410's example key").key;
    assert_eq!(data_encoding::HEXLOWER.encode(read.as_bytes()), hex);
}

#[test]
fn the_words_of_every_error() {
    let file = keyfile::export("desk", &key(0)).expect("a name");
    let without = |word: &str| {
        let lines: Vec<&str> = file.lines().filter(|line| !line.starts_with(word)).collect();
        lines.join("\n")
    };
    let sum = file.lines().find(|line| line.starts_with("checksum")).expect("a checksum");
    let texts = [
        String::new(),
        "x".repeat(5000),
        "hello".to_owned(),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n".to_owned(),
        "ssh-ed25519 AAAAC3Nza me@desk".to_owned(),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".to_owned(),
        "ed25519:short".to_owned(),
        format!("ed25519:{}", "a".repeat(52)),
        without("name"),
        without("----- end"),
        file.replace("name: desk", "name: desk\nname: desk"),
        file.replace("name: desk", "name: rack"),
        file.replace(sum, "checksum: 00000000"),
        file.replace("words: ", "words: abandon "),
        file.replace("name: desk", "nickname: desk"),
        file.replace("name: desk", "name: # desk"),
    ];
    let words: Vec<String> = texts
        .iter()
        .map(|text| keyfile::parse(text).map_or_else(|error| error.to_string(), |_| "read".to_owned()))
        .collect();
    insta::assert_snapshot!(words.join("\n"), @r#"
    the file is empty; hint: make one with `meshctl key export`
    5000 bytes are too many for a key file (at most 4096); hint: is it the right file?
    this is no key file; hint: `meshctl key export` makes one, `ed25519:…` and PEM public keys do as well
    this is a PRIVATE key; hint: keep it secret, and export the public one with `meshctl key export`
    this is an OpenSSH key; hint: `ssh-keygen -e -m PKCS8 -f FILE` turns an Ed25519 one into PEM
    this PEM file holds no Ed25519 public key
    "short" is no key in base32; hint: 52 letters a-z and digits 2-7 follow `ed25519:`
    this is a weak key: signatures under it prove nothing
    the line `name:` is missing; hint: was the file cut when it was sent?
    the line `----- end -----` is missing; hint: was the file cut when it was sent?
    the line `name:` stands there twice
    the checksum is 240fdc3a, this key and name have 4f481711; hint: the file was changed or mistyped
    the checksum is 00000000, this key and name have 240fdc3a; hint: the file was changed or mistyped
    the words do not belong to this key; hint: the file was changed
    line 2 does not belong into a key file: "nickname: desk"
    the name in the file is no name: a label may not begin with `#`, contain ` #`, or have blanks at its ends or two in a row
    "#);
}

#[test]
fn a_name_that_steers_a_terminal_is_not_exported() {
    assert!(matches!(keyfile::export("a\u{1b}[2J", &key(0)), Err(KeyFileError::Name(_))));
}

#[test]
fn a_key_as_text_words_and_peer_id() {
    let all = format!("{}\n{}\n{}", key(0), key(0).short(), key(0).words().join(" "));
    insta::assert_snapshot!(all, @r#"
    ed25519:rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa
    rkeohxlu
    local radio replace indoor work divert delay swallow credit that slogan now
    "#);
    assert_eq!(key(0).to_string().parse(), Ok(key(0)));
    assert_eq!(key(0).to_string().to_uppercase().parse::<PublicKey>(), Err(KeyError::Prefix));
    let upper = format!("ed25519:{}", key(0).to_string()[8..].to_uppercase());
    assert!(matches!(upper.parse::<PublicKey>(), Err(KeyError::Base32(_))));
}

#[test]
fn peer_ids_carry_the_key() {
    // The public key of libp2p's peer id specification (test vectors), behind the identity multihash.
    let hex = "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
    let read = PublicKey::from_peer_id_bytes(&bytes).expect("an Ed25519 peer id");
    assert_eq!(read.to_peer_id_bytes().as_slice(), bytes);
    assert_eq!(PublicKey::from_peer_id_bytes(&bytes[..37]), Err(KeyError::Length(31)));
    assert_eq!(PublicKey::from_peer_id_bytes(&[0x12; 34]), Err(KeyError::PeerId));
}

#[test]
fn keys_travel_as_byte_strings() {
    let bytes = cbor4ii::serde::to_vec(Vec::new(), &key(0)).expect("memory");
    assert_eq!(bytes[..2], [0x58, 32]);
    assert_eq!(bytes[2..], key(0).as_bytes()[..]);
    assert_eq!(cbor4ii::serde::from_slice::<PublicKey>(&bytes).expect("a key"), key(0));
    let mut weak = vec![0x58, 32];
    weak.extend([0; 32]);
    assert!(cbor4ii::serde::from_slice::<PublicKey>(&weak).is_err());
}
