//! The plot: how deep the tree is, and how much was heard over time. Plain SVG, drawn by hand.

use std::fmt::Write as _;

use majlis_protocol::sim::{Moment, Report, Scenario};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;

/// Top and height of each panel.
const DEPTHS: (f64, f64) = (40.0, 170.0);
const OVER_TIME: (f64, f64) = (290.0, 220.0);

/// A time at which something goes wrong, and what.
pub(crate) type Fault = (f64, &'static str);

/// What goes wrong in a scenario, and when, in seconds.
pub(crate) fn faults(scenario: &Scenario) -> Vec<Fault> {
    let kills = scenario.kills.iter().map(|kill| (kill.at.as_secs_f64(), "kill"));
    let cuts = scenario.partitions.iter().flat_map(|cut| {
        [
            (cut.during.start.as_secs_f64(), "parted"),
            (cut.during.end.as_secs_f64(), "joined"),
        ]
    });
    kills.chain(cuts).collect()
}

/// The report as a drawing.
pub(crate) fn draw(report: &Report, faults: &[Fault]) -> String {
    let mut svg = String::new();
    line(
        &mut svg,
        format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>"##
        ),
    );
    depths(&mut svg, &report.depths);
    over_time(&mut svg, &report.timeline, faults);
    line(&mut svg, format_args!("</svg>"));
    svg
}

/// Members by hops from the root, at the end.
fn depths(svg: &mut String, counts: &[u64]) {
    let (top, height) = DEPTHS;
    text(
        svg,
        LEFT,
        top - 15.0,
        "start",
        "members by hops from the root, at the end",
    );
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = (WIDTH - LEFT - RIGHT) / counts.len().max(8) as f64;
    for (depth, count) in counts.iter().enumerate() {
        // The number above the highest bar needs room below the title.
        let (x, bar) = (LEFT + width * depth as f64, 0.9 * height * *count as f64 / most);
        let y = top + height - bar;
        line(
            svg,
            format_args!(
                r##"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{bar:.1}" fill="#2a6f97"/>"##,
                width * 0.8
            ),
        );
        let middle = x + width * 0.4;
        text(svg, middle, top + height + 16.0, "middle", &depth.to_string());
        if *count > 0 {
            text(svg, middle, y - 4.0, "middle", &count.to_string());
        }
    }
}

/// The share of expected frames that came in time, by when they were captured.
fn over_time(svg: &mut String, moments: &[Moment], faults: &[Fault]) {
    let (top, height) = OVER_TIME;
    let points: Vec<(f64, f64)> = moments
        .iter()
        .filter(|moment| moment.expected > 0)
        .map(|moment| {
            let share = 100.0 * moment.in_time as f64 / moment.expected as f64;
            (moment.at.as_secs_f64(), share)
        })
        .collect();
    let least = points.iter().map(|(_, share)| *share).fold(100.0, f64::min);
    // The scale begins at a round number below the worst tenth of a second.
    let floor = [99.9, 99.0, 95.0, 90.0, 50.0, 0.0]
        .into_iter()
        .find(|floor| least >= *floor)
        .unwrap_or(0.0);
    let end = points.last().map_or(1.0, |(at, _)| at.max(1.0));
    let x = |at: f64| LEFT + (WIDTH - LEFT - RIGHT) * at / end;
    let y = |share: f64| top + height * (100.0 - share) / (100.0 - floor);
    text(
        svg,
        LEFT,
        top - 15.0,
        "start",
        "% of frames in time, by when they were captured",
    );
    for share in [100.0, (100.0 + floor) / 2.0, floor] {
        let at = y(share);
        rule(svg, (LEFT, at), (WIDTH - RIGHT, at), "#ddd");
        text(svg, LEFT - 6.0, at + 4.0, "end", &format!("{share}"));
    }
    for part in 0..=6 {
        let at = end * f64::from(part) / 6.0;
        text(svg, x(at), top + height + 16.0, "middle", &format!("{at:.0} s"));
    }
    for (at, what) in faults {
        rule(svg, (x(*at), top), (x(*at), top + height), "#c1121f");
        text(svg, x(*at) + 3.0, top + height - 4.0, "start", what);
    }
    let path: Vec<String> = points
        .iter()
        .map(|(at, share)| format!("{:.1},{:.1}", x(*at), y(*share)))
        .collect();
    line(
        svg,
        format_args!(
            r##"<polyline fill="none" stroke="#2a6f97" points="{}"/>"##,
            path.join(" ")
        ),
    );
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    line(
        svg,
        format_args!(
            r##"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}"/>"##,
            from.0, from.1, to.0, to.1
        ),
    );
}

/// Nothing that is written here needs escaping.
fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    line(
        svg,
        format_args!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"##),
    );
}

fn line(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "{line}");
}
