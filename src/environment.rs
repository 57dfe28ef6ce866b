//! Variables that were meant for roomd and are none of its: told at the start, since nothing else would tell.

use std::ffi::OsStr;
use std::fmt;

/// What all settings in the environment begin with.
const PREFIX: &str = "ROOMD_";

/// Kubernetes sets such variables by itself, in every container beside a service called `roomd`; and `ROOMD_PORT` with an
/// address. With a number in it, somebody meant `ROOMD_LISTEN`.
const OF_KUBERNETES: [&str; 2] = ["ROOMD_SERVICE_", "ROOMD_PORT_"];
const ADDRESS_OF_KUBERNETES: &str = "ROOMD_PORT";

/// A variable that looks like a setting and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    name: String,
    /// The setting that was meant, perhaps.
    nearest: Option<String>,
}

impl UnknownVariable {
    /// The variable `name` with this `value`, if it looks like a setting and is none of `known`. It is not refused, for it may be there for an older
    /// version or a newer one.
    #[must_use]
    pub fn of(name: &OsStr, value: &OsStr, known: &[String]) -> Option<UnknownVariable> {
        let name = name.to_string_lossy();
        let is_meant = name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        if !is_meant
            || known.iter().any(|known| *known == name)
            || OF_KUBERNETES.iter().any(|start| name.starts_with(start))
            || (name == ADDRESS_OF_KUBERNETES && value.to_string_lossy().contains("://"))
        {
            return None;
        }
        Some(UnknownVariable { nearest: nearest(&name.to_uppercase(), known), name: name.into() })
    }
}

/// The known name that is so near that it was meant: one slip of the keyboard in three letters at most.
fn nearest(name: &str, known: &[String]) -> Option<String> {
    let letters = name.chars().count().saturating_sub(PREFIX.len());
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, known) = distances.min()?;
    (distance <= (letters / 3).max(1)).then(|| known.clone())
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment has {}, which is no setting of roomd", self.name.escape_debug())?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => f.write_str("; roomd --help lists them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Option<String> {
        told_with(name, "8000")
    }

    fn told_with(name: &str, value: &str) -> Option<String> {
        let known = ["ROOMD_LISTEN", "ROOMD_ORIGIN", "ROOMD_MAX_MESSAGE", "ROOMD_RATE"].map(str::to_owned);
        UnknownVariable::of(OsStr::new(name), OsStr::new(value), &known).map(|unknown| unknown.to_string())
    }

    #[test]
    fn a_misspelt_setting_is_told_with_the_one_that_was_meant() {
        for (name, meant) in [
            ("ROOMD_MAX_MESAGE", "ROOMD_MAX_MESSAGE"),
            ("ROOMD_MAXMESSAGE", "ROOMD_MAX_MESSAGE"),
            ("ROOMD_ORIGINS", "ROOMD_ORIGIN"),
            ("ROOMD_LISTNE", "ROOMD_LISTEN"),
            ("ROOMD_RAET", "ROOMD_RATE"),
            ("roomd_listen", "ROOMD_LISTEN"),
        ] {
            let expected = format!("the environment has {name}, which is no setting of roomd; did you mean {meant}?");
            assert_eq!(told(name), Some(expected));
        }
        let expected = "the environment has ROOMD_PASSWORD, which is no setting of roomd; roomd --help lists them";
        assert_eq!(told("ROOMD_PASSWORD").as_deref(), Some(expected));
        assert!(told("ROOMD_").is_some() && told("ROOMD_\u{1b}[2J").is_some_and(|line| !line.contains('\u{1b}')));
    }

    #[test]
    fn settings_and_what_is_not_meant_for_roomd_are_not_told() {
        for name in
            ["ROOMD_LISTEN", "PATH", "ROOM", "ROOMDB_X", "", "汉汉汉", "ROOMD_SERVICE_HOST", "ROOMD_PORT_8000_TCP"]
        {
            assert_eq!(told(name), None, "{name}");
        }
        assert_eq!(told_with("ROOMD_PORT", "tcp://10.0.0.11:8000"), None);
        assert!(told_with("ROOMD_PORT", "8000").is_some(), "somebody wanted another port");
    }
}
