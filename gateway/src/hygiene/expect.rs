//! `Expect`.

use http::HeaderMap;
use http::header::EXPECT;

use super::Refused;

/// Removes `Expect: 100-continue`, which the server library answers by itself once somebody reads the body.
///
/// It is not forwarded: the application would be asked a second time. Allocates nothing.
///
/// # Errors
/// Something else is expected: answer 417 (RFC 9110, 10.1.1).
pub fn expectation(headers: &mut HeaderMap) -> Result<(), Refused> {
    let known =
        headers.get_all(EXPECT).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !known {
        return Err(Refused::Expectation);
    }
    headers.remove(EXPECT);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_100_continue_may_be_expected() {
        for (values, expected) in [
            (&[][..], Ok(())),
            (&["100-continue"], Ok(())),
            (&["100-Continue", "100-continue"], Ok(())),
            (&["200-ok"], Err(Refused::Expectation)),
            (&["100-continue", "tea"], Err(Refused::Expectation)),
            (&["100-continue, tea"], Err(Refused::Expectation)),
            (&[""], Err(Refused::Expectation)),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(EXPECT, HeaderValue::from_static(value));
            }
            assert_eq!(expectation(&mut headers), expected, "{values:?}");
            assert_eq!(headers.contains_key(EXPECT), expected.is_err());
        }
    }
}
