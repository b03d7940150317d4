//! A link as a QR code of half blocks, two modules a character.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// The code, dark on light so that any camera reads it on any terminal, or `None` where it would be wider than this.
pub(super) fn code(link: &str, columns: usize) -> Option<String> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    // The quiet zone adds four modules on each side.
    if code.width() + 8 > columns {
        return None;
    }
    Some(
        code.render::<Dense1x2>()
            .dark_color(Dense1x2::Dark)
            .light_color(Dense1x2::Light)
            .build(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_one_address_fits_a_terminal() {
        let link = format!(
            "majlis:{}?via=/ip4/192.168.100.100/udp/40001/quic-v1/p2p/{}",
            "a".repeat(53),
            "1".repeat(52)
        );
        let code = code(&link, 78).expect("it fits");
        assert!(code.lines().all(|line| line.chars().count() <= 78), "{code}");
    }

    #[test]
    fn a_link_that_would_not_fit_is_not_drawn() {
        assert_eq!(code(&"x".repeat(2_000), 78), None);
        assert_eq!(code("majlis:", 20), None, "a narrow terminal");
    }
}
