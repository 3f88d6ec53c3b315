//! Whether a mail address of a register can be written to: well formed, and not one that only looks like another.
//!
//! A reminder says what a person must do: it must not go to a domain that was made to look like theirs. So scripts
//! are not mixed within a name (Unicode UTS #39), a name of another script that reads like ASCII is refused, and a
//! domain leaves in its ASCII form (RFC 5891), which is what mail servers log and compare. This module must not know
//! whose address it is, and no error of it holds one.

use lettre::Address;
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection};

/// Octets of a path without its angle brackets (RFC 5321, 4.5.3.1.3).
const OCTETS_MAX: usize = 254;

/// Why nobody writes to an address. It holds nothing of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It is not of the form `name@domain`, too long, or its domain is none of the Internet.
    #[error("it is not a mail address of the Internet")]
    Malformed,
    /// Letters of several scripts stand in one name, or letters that no name may hold.
    #[error("it mixes scripts, or holds letters that names do not have")]
    MixedScripts,
    /// It is of another script and reads like one in ASCII.
    #[error("it looks like another address")]
    Lookalike,
}

/// The address as it goes on the wire, with its domain in ASCII.
///
/// # Errors
///
/// [`BadAddress`] where nobody should write to it.
pub fn recipient(text: &str) -> Result<Address, BadAddress> {
    let text: String = text.trim().nfc().collect();
    let (local, domain) = text.rsplit_once('@').ok_or(BadAddress::Malformed)?;
    // Quoted names and addresses of machines are allowed by RFC 5321 and are, in a register, always a slip.
    let is_plain = !local.contains(['"', '\\', '@', ' ', ',', ';', ':', '<', '>', '(', ')'])
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        && domain.contains('.')
        && !domain.contains(['[', ']', '%', '/', '\\', '?', '#', ':']);
    if !is_plain || text.len() > OCTETS_MAX {
        return Err(BadAddress::Malformed);
    }
    look(local)?;
    for label in domain.split('.') {
        let lower = label.to_lowercase();
        match lower.strip_prefix("xn--") {
            Some(code) => look(&punycode(code).ok_or(BadAddress::Malformed)?)?,
            None => look(&lower)?,
        }
    }
    let address = Address::new(local, ascii(domain)?).map_err(|_| BadAddress::Malformed)?;
    let octets = AsRef::<str>::as_ref(&address).len();
    if octets <= OCTETS_MAX { Ok(address) } else { Err(BadAddress::Malformed) }
}

/// Refuses a name, of a mailbox or in a domain, that is not of one script, or that only looks as if it were in ASCII.
fn look(name: &str) -> Result<(), BadAddress> {
    if name.is_ascii() {
        return Ok(());
    }
    // Dots, digits and signs are of every script; the detection knows letters of identifiers alone.
    let letters: String = name.chars().filter(|c| !"!#$%&'*+-/=?^_`{|}~.".contains(*c)).collect();
    if letters.as_str().detect_restriction_level() > RestrictionLevel::HighlyRestrictive {
        return Err(BadAddress::MixedScripts);
    }
    // Vietnamese keeps its marks in the skeleton; a Cyrillic name made of letters that ASCII has too does not.
    if skeleton(&letters).all(|c| c.is_ascii()) { Err(BadAddress::Lookalike) } else { Ok(()) }
}

/// The domain in ASCII, by the mapping of UTS #46 that web addresses use.
fn ascii(domain: &str) -> Result<String, BadAddress> {
    let url = reqwest::Url::parse(&format!("https://{domain}/")).map_err(|_| BadAddress::Malformed)?;
    match url.domain() {
        // A dot at the end, or a number taken for an address of a machine, is not what was meant.
        Some(ascii) if !ascii.ends_with('.') && ascii.contains('.') => Ok(ascii.to_owned()),
        _ => Err(BadAddress::Malformed),
    }
}

/// What a label in its ASCII form stands for (RFC 3492), without its `xn--`.
fn punycode(code: &str) -> Option<String> {
    const LETTERS_MAX: usize = 63;
    let (basic, code) = code.rsplit_once('-').unwrap_or(("", code));
    let mut output: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128_u32, 0_u32, 72_u32);
    let mut digits = code.bytes();
    while digits.len() > 0 {
        let before = i;
        let mut weight = 1_u32;
        for k in (36_u32..).step_by(36) {
            let digit = match digits.next()? {
                letter @ b'a'..=b'z' => u32::from(letter - b'a'),
                letter @ b'A'..=b'Z' => u32::from(letter - b'A'),
                number @ b'0'..=b'9' => u32::from(number - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(36 - threshold)?;
        }
        let count = u32::try_from(output.len()).ok()? + 1;
        bias = adapted(i - before, count, before == 0);
        n = n.checked_add(i / count)?;
        i %= count;
        output.insert(usize::try_from(i).ok()?, char::from_u32(n)?);
        i += 1;
        if output.len() > LETTERS_MAX {
            return None;
        }
    }
    Some(output.into_iter().collect())
}

fn adapted(delta: u32, count: u32, is_first: bool) -> u32 {
    let delta = if is_first { delta / 700 } else { delta / 2 };
    let mut delta = delta + delta / count;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}
