//! Names of span kinds, status codes and severities, as requests and answers spell them.

const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
const STATUSES: [&str; 3] = ["UNSET", "OK", "ERROR"];
const SEVERITIES: [(&str, i8); 7] =
    [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("WARNING", 13), ("ERROR", 17), ("FATAL", 21)];

/// The name of an OTLP span kind.
pub(crate) fn kind_name(kind: i8) -> &'static str {
    usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind)).unwrap_or(&KINDS[0])
}

/// The OTLP number of a kind's name, of either case.
pub(crate) fn parse_kind(name: &str) -> Option<i8> {
    find(&KINDS, name)
}

/// The name of an OTLP status code.
pub(crate) fn status_name(status: i8) -> &'static str {
    usize::try_from(status).ok().and_then(|status| STATUSES.get(status)).unwrap_or(&STATUSES[0])
}

/// The OTLP number of a status code's name, of either case.
pub(crate) fn parse_status(name: &str) -> Option<i8> {
    find(&STATUSES, name)
}

/// The least OTLP severity number of a level's name (`warn`), of either case, or of a number 0 to 24.
pub(crate) fn parse_severity(name: &str) -> Option<i8> {
    if let Ok(number) = name.parse::<i8>() {
        return (0..=24).contains(&number).then_some(number);
    }
    SEVERITIES.iter().find(|(level, _)| level.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

fn find(names: &[&str], name: &str) -> Option<i8> {
    let place = names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    i8::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_go_both_ways() {
        for (number, kind) in KINDS.iter().enumerate() {
            let number = i8::try_from(number).expect("few kinds");
            assert_eq!((kind_name(number), parse_kind(&kind.to_lowercase())), (*kind, Some(number)));
        }
        assert_eq!((kind_name(-1), kind_name(9), parse_kind("SERVERS")), ("UNSPECIFIED", "UNSPECIFIED", None));
        assert_eq!((status_name(2), parse_status("error"), parse_status("")), ("ERROR", Some(2), None));
        assert_eq!((parse_severity("warn"), parse_severity("17"), parse_severity("25")), (Some(13), Some(17), None));
        assert_eq!(parse_severity("loud"), None);
    }
}
