//! The retirement certificate: a signed `Retire` as a block of text, made when the key is made.
//!
//! Whoever holds it can end the key, so it is for the owner's drawer, on another machine. Pure text in, pure text
//! out; the store writes `retire.cert` next to the key, and `Keyring::receive` takes the bytes.

use data_encoding::BASE64;

use crate::identity::Identity;
use crate::statement::{Retire, Signed, Statement, StatementError};

/// Bytes of a certificate file; a longer one is something else.
pub const MAX_FILE: usize = 4096;

const BEGIN: &str = "----- testmesh retirement -----";
const END: &str = "----- end -----";
/// Letters of one line, so that mail programs leave it alone.
const LINE: usize = 64;

/// Why a text is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no retirement certificate; hint: `setup` wrote one as retire.cert next to the key")]
pub struct NoCertificate;

/// A certificate for a key, signed by the key itself.
///
/// # Errors
/// [`StatementError`], which a fresh key never meets.
pub fn certificate(identity: &Identity, now: u64) -> Result<String, StatementError> {
    let note = "by certificate".to_owned();
    let retire = Retire { key: identity.public(), issued_at: now, successor: None, note };
    let signed = Signed::new(Statement::Retire(retire), identity)?;
    let encoded = BASE64.encode(signed.bytes());
    let mut text = format!(
        "Keep a copy of this file on another machine. Whoever has it can end this key, for good and everywhere:\n\
         `meshctl retire --certificate FILE` on any node that reaches it.\n{BEGIN}\nkey: {}\n",
        identity.public()
    );
    for line in encoded.as_bytes().chunks(LINE) {
        text.extend(line.iter().map(|letter| char::from(*letter)));
        text.push('\n');
    }
    text.push_str(END);
    text.push('\n');
    Ok(text)
}

/// The bytes of the statement in a certificate, for `Keyring::receive`, which verifies them.
///
/// # Errors
/// [`NoCertificate`].
pub fn parse(text: &str) -> Result<Vec<u8>, NoCertificate> {
    if text.len() > MAX_FILE {
        return Err(NoCertificate);
    }
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != BEGIN).skip(1);
    let encoded: String =
        lines.by_ref().take_while(|line| *line != END).filter(|line| !line.contains(':')).collect();
    let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| NoCertificate)?;
    if bytes.is_empty() { Err(NoCertificate) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Unverified;

    #[test]
    fn a_certificate_reads_back_and_verifies() {
        let identity = Identity::from_secret_bytes([3; 32]).expect("a key");
        let text = certificate(&identity, 7).expect("a certificate");
        let bytes = parse(&format!("> mail\n{text}\nregards")).expect("bytes");
        let signed = Unverified::decode(&bytes).and_then(Unverified::verify).expect("a statement");
        assert_eq!(signed.issuer(), identity.public());
        assert!(matches!(signed.statement(), Statement::Retire(retire) if retire.issued_at == 7));
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", BEGIN, "----- testmesh retirement -----\n?\n----- end -----", &"x".repeat(MAX_FILE + 1)]
        {
            assert_eq!(parse(text), Err(NoCertificate));
        }
    }
}
