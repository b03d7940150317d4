//! The table, line by line, and the sound that is kept.

use std::{fs, io::Write as _, path::PathBuf, time::Duration};

use majlis_protocol::jitter::Stats;

use crate::options::Options;

/// What is told of each line, and with how many digits: shares of the frames that came by a pull, of those that were mended
/// by a copy or by the codec's correction, that were concealed, that came late; the delay; bits; the share of packets
/// with copies; frames a minute that were stretched.
const COLUMNS: [(&str, usize); 9] = [
    ("pulled %", 2),
    ("mended %", 2),
    ("conceal %", 2),
    ("late %", 2),
    ("delay ms", 0),
    ("longest", 0),
    ("kbit/s", 1),
    ("twice %", 0),
    ("stretch", 1),
];

/// What one listener heard of one file.
pub(crate) struct Heard {
    pub(crate) stats: Stats,
    /// The median over the second half, and the longest.
    pub(crate) delay: Duration,
    pub(crate) longest: Duration,
    /// Kilobits of Opus a second.
    pub(crate) kilobits: f64,
    /// Share of packets sent while copies were on.
    pub(crate) copied: f64,
    /// Frames a minute that were made shorter or longer.
    pub(crate) stretched: f64,
}

/// One line: the same links for all files and seeds.
pub(crate) struct Row {
    name: String,
    scores: Vec<f64>,
    all: Vec<[f64; COLUMNS.len()]>,
}

pub(crate) struct Table {
    out: Option<PathBuf>,
    /// Which file is which, for the script that scores them.
    list: Option<fs::File>,
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            scores: Vec::new(),
            all: Vec::new(),
        }
    }

    pub(crate) fn add_score(&mut self, score: f64) {
        self.scores.push(score);
    }

    pub(crate) fn add(&mut self, heard: &Heard) {
        let stats = &heard.stats;
        let share = |frames: u64| 100.0 * frames as f64 / stats.expected().max(1) as f64;
        self.all.push([
            share(stats.repaired),
            share(stats.fec),
            share(stats.concealed),
            share(stats.late),
            heard.delay.as_secs_f64() * 1e3,
            heard.longest.as_secs_f64() * 1e3,
            heard.kilobits,
            heard.copied * 100.0,
            heard.stretched,
        ]);
    }
}

impl Table {
    #[expect(clippy::print_stdout, reason = "what the program is for")]
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let list = match &options.out {
            Some(out) => {
                fs::create_dir_all(out)?;
                Some(fs::File::create(out.join("list.tsv"))?)
            }
            None => None,
        };
        let names = COLUMNS.map(|(name, _)| format!("{name:>9}")).concat();
        println!("{:<12}{names}{:>7}{:>7}", "loss a link", "STOI", "worst");
        Ok(Self {
            out: options.out.clone(),
            list,
        })
    }

    /// Keeps what was heard of a file.
    pub(crate) fn keep(&mut self, file: &str, row: &str, sound: &[f32]) -> anyhow::Result<()> {
        let (Some(out), Some(list)) = (&self.out, &mut self.list) else {
            return Ok(());
        };
        let name = format!("{file} {row}.wav").replace([' ', '%'], "_");
        crate::write(&out.join(&name), sound)?;
        let of = file.split(' ').next().unwrap_or_default();
        writeln!(list, "{row}\t{of}\t{name}")?;
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "what the program is for")]
    pub(crate) fn print(&self, row: &Row) {
        let score = row.scores.iter().sum::<f64>() / row.scores.len().max(1) as f64;
        let worst = row.scores.iter().copied().fold(f64::MAX, f64::min);
        let cell = |(column, (_, digits)): (usize, &(&str, usize))| match row.all.len() {
            0 => format!("{:>9}", ""),
            count => {
                let sum: f64 = row.all.iter().map(|values| values[column]).sum();
                format!("{:>9.digits$}", sum / count as f64)
            }
        };
        let cells: String = COLUMNS.iter().enumerate().map(cell).collect();
        println!("{:<12}{cells}{score:>7.3}{worst:>7.3}", row.name);
    }
}
