//! A public key as people send it to each other: a block of text with a name, a checksum and words.
//!
//! ```text
//! ----- testmesh key -----
//! name: desk-alice
//! key: ed25519:…
//! checksum: 1a2b3c4d
//! words: … twelve of them …
//! ----- end -----
//! ```
//! A bare `ed25519:…` key and a PEM public key are read as well. The name is a claim of whoever made the file. Pure
//! text in, pure text out; never a secret: a file with a private key is refused with a word about it.

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey;

use crate::allowlist::{LabelError, check_label};
use crate::key::{KEY_PREFIX, KeyError, PublicKey};

/// Bytes of a key file; a longer one is something else.
pub const MAX_FILE: usize = 4096;

const BEGIN: &str = "----- testmesh key -----";
const END: &str = "----- end -----";

/// What a key file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// What its maker calls the key: a claim. Empty for bare and PEM keys.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// Why a text is no key file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// Nothing in it.
    #[error("the file is empty; hint: make one with `meshctl key export`")]
    Empty,
    /// More than [`MAX_FILE`] bytes.
    #[error("{0} bytes are too many for a key file (at most {MAX_FILE}); hint: is it the right file?")]
    Large(usize),
    /// No form of key that is known here.
    #[error(
        "this is no key file; hint: `meshctl key export` makes one, `ed25519:…` and PEM public keys do as well"
    )]
    Foreign,
    /// A private key: it should not have left its machine.
    #[error(
        "this is a PRIVATE key; hint: keep it secret, and export the public one with `meshctl key export`"
    )]
    Private,
    /// An OpenSSH public key.
    #[error("this is an OpenSSH key; hint: `ssh-keygen -e -m PKCS8 -f FILE` turns an Ed25519 one into PEM")]
    OpenSsh,
    /// A line is missing.
    #[error("the line `{0}` is missing; hint: was the file cut when it was sent?")]
    Missing(&'static str),
    /// A line stands there twice.
    #[error("the line `{0}` stands there twice")]
    Twice(&'static str),
    /// A line that does not belong.
    #[error("line {line} does not belong into a key file: {text:?}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// The key itself.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The name.
    #[error("the name in the file is no name: {0}")]
    Name(LabelError),
    /// Key and checksum do not belong together.
    #[error(
        "the checksum is {found}, this key and name have {expected}; hint: the file was changed or mistyped"
    )]
    Checksum {
        /// What the file says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// Key and words do not belong together.
    #[error("the words do not belong to this key; hint: the file was changed")]
    Words,
    /// PEM, but no Ed25519 public key.
    #[error("this PEM file holds no Ed25519 public key")]
    Pem,
}

/// First 8 hex digits of BLAKE3 over name and key: against typing and copying, not against people.
fn checksum(name: &str, key: &PublicKey) -> String {
    let hash = blake3::hash(format!("{name}\n{key}").as_bytes());
    hash.to_hex().chars().take(8).collect()
}

/// The file for a key.
///
/// # Errors
/// [`KeyFileError::Name`].
pub fn export(name: &str, key: &PublicKey) -> Result<String, KeyFileError> {
    check_label(name).map_err(KeyFileError::Name)?;
    let sum = checksum(name, key);
    let words = key.words().join(" ");
    Ok(format!("{BEGIN}\nname: {name}\nkey: {key}\nchecksum: {sum}\nwords: {words}\n{END}\n"))
}

/// Reads a key in any of the three forms; text before and after a block (a mail, say) is ignored.
///
/// # Errors
/// [`KeyFileError`].
pub fn parse(text: &str) -> Result<KeyFile, KeyFileError> {
    if text.len() > MAX_FILE {
        return Err(KeyFileError::Large(text.len()));
    }
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(KeyFileError::Empty);
    }
    if trimmed.contains("PRIVATE KEY-----") {
        return Err(KeyFileError::Private);
    }
    if trimmed.contains(BEGIN) {
        return parse_block(text);
    }
    if trimmed.contains("-----BEGIN ") {
        return parse_pem(trimmed);
    }
    if trimmed.starts_with("ssh-") {
        return Err(KeyFileError::OpenSsh);
    }
    if !trimmed.starts_with(KEY_PREFIX) {
        return Err(KeyFileError::Foreign);
    }
    Ok(KeyFile { name: String::new(), key: trimmed.parse()? })
}

fn parse_pem(text: &str) -> Result<KeyFile, KeyFileError> {
    let found = VerifyingKey::from_public_key_pem(text).map_err(|_| KeyFileError::Pem)?;
    Ok(KeyFile { name: String::new(), key: PublicKey::from_bytes(found.as_bytes())? })
}

/// The lines of a block as they were found.
#[derive(Default)]
struct Fields<'a> {
    name: Option<&'a str>,
    key: Option<&'a str>,
    checksum: Option<&'a str>,
    words: Option<&'a str>,
}

fn parse_block(text: &str) -> Result<KeyFile, KeyFileError> {
    let fields = read_fields(text)?;
    let name = fields.name.ok_or(KeyFileError::Missing("name:"))?.to_owned();
    let key: PublicKey = fields.key.ok_or(KeyFileError::Missing("key:"))?.parse()?;
    let found = fields.checksum.ok_or(KeyFileError::Missing("checksum:"))?;
    let words = fields.words.ok_or(KeyFileError::Missing("words:"))?;
    check_label(&name).map_err(KeyFileError::Name)?;
    let expected = checksum(&name, &key);
    if found != expected {
        return Err(KeyFileError::Checksum { found: found.escape_default().take(20).collect(), expected });
    }
    if !words.split_whitespace().eq(key.words()) {
        return Err(KeyFileError::Words);
    }
    Ok(KeyFile { name, key })
}

fn read_fields(text: &str) -> Result<Fields<'_>, KeyFileError> {
    let mut fields = Fields::default();
    let numbered = (1..).zip(text.lines().map(str::trim));
    for (line, text) in numbered.skip_while(|(_, text)| *text != BEGIN).skip(1) {
        if text == END {
            return Ok(fields);
        }
        let (word, value) = text.split_once(':').unwrap_or((text, ""));
        let (name, place) = match word {
            "name" => ("name:", &mut fields.name),
            "key" => ("key:", &mut fields.key),
            "checksum" => ("checksum:", &mut fields.checksum),
            "words" => ("words:", &mut fields.words),
            _ => return Err(KeyFileError::Line { line, text: text.chars().take(40).collect() }),
        };
        if place.replace(value.trim()).is_some() {
            return Err(KeyFileError::Twice(name));
        }
    }
    Err(KeyFileError::Missing("----- end -----"))
}
