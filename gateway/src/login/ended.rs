//! What somebody is told who comes back with a session that is over.
//!
//! The cookie goes with the answer that leads them to the login, so the address of the login page says why. Anybody can write
//! such an address: therefore it holds a name, and what is shown for it is ours, short, and says nothing of any person.

use session::Why;

use super::form::Form;

/// The parameter of the login page that says why a session ended.
const PARAMETER: &str = "ended";

/// What follows the address of a login page for somebody whose session ended so.
pub(super) fn carried(why: Why) -> String {
    match words(why) {
        Some(_) => format!("&{PARAMETER}={why}"),
        None => String::new(),
    }
}

/// What the query of a login page tells its reader.
pub(super) fn told(query: Option<&str>) -> Option<&'static str> {
    let form = Form::parse(query?.as_bytes()).ok()?;
    words(form.field(PARAMETER).parse().ok()?)
}

/// What somebody may know of how their session ended.
const fn words(why: Why) -> Option<&'static str> {
    Some(match why {
        Why::Logout => "Your session is over: you have logged out.",
        Why::Idle => "Your session is over: it was not used for a while.",
        Why::Lifetime => "Your session is over: it has reached its longest time.",
        Why::Revoked => {
            "Your session is over: you have logged out everywhere, or somebody who looks after this service has ended it."
        }
        Why::Address => "Your session is over: it was used from another network address.",
        Why::Theft => "Your session is over: an older key to it was used, which somebody may have copied.",
        Why::Limit => {
            "Your session is over: you have logged in elsewhere, and may have only so many sessions at once."
        }
        // They know it, or had nothing to lose.
        Why::Replaced | Why::Emptied | Why::Moved => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_carried_is_told_and_nothing_else() {
        for why in Why::ALL {
            let query = format!("return=%2F{}", carried(why));
            assert_eq!(told(Some(&query)), words(why));
        }
        for query in [None, Some(""), Some("ended="), Some("ended=<b>"), Some("ended=replaced"), Some("%%%")]
        {
            assert_eq!(told(query), None);
        }
    }
}
