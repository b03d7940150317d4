//! The time at which a room starts, as people type it.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Reads a time as Unix seconds: with a zone (RFC 3339), or by this machine's own.
pub(crate) fn start(text: &str) -> Result<u64, String> {
    in_zone(text, &TimeZone::system())
}

fn in_zone(text: &str, zone: &TimeZone) -> Result<u64, String> {
    let stamp = text.parse::<Timestamp>().ok();
    let local = || {
        let time: DateTime = text.parse().ok()?;
        zone.to_timestamp(time).ok()
    };
    // A day alone is no time to come to.
    let has_time = text.contains(':');
    stamp
        .or_else(local)
        .filter(|_| has_time)
        .and_then(|time| u64::try_from(time.as_second()).ok())
        .ok_or_else(|| {
            "write a time as 2026-12-01T20:00, or with a zone as 2026-12-01T20:00:00+02:00".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_its_own_zone_or_in_this_machines() {
        let cairo = TimeZone::fixed(jiff::tz::offset(2));
        for (text, wanted) in [
            ("2026-12-01T20:00", 1_796_148_000),
            ("2026-12-01 20:00", 1_796_148_000),
            ("2026-12-01T20:00:30", 1_796_148_030),
            ("2026-12-01T20:00:00Z", 1_796_155_200),
            ("2026-12-01T20:00:00+01:00", 1_796_151_600),
        ] {
            assert_eq!(in_zone(text, &cairo), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in [
            "",
            "tomorrow",
            "2026-12-01",
            "20:00",
            "2026-13-01T20:00",
            "1960-01-01T00:00:00Z",
        ] {
            let error = in_zone(text, &TimeZone::UTC).expect_err(text);
            assert!(error.contains("2026-12-01T20:00"), "{text}: {error}");
        }
    }
}
