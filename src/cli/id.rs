//! `majlis id`: who the person of a home is to others.

use clap::Args;
use majlis::home::Home;
use serde_json::json;

use super::{face::Face, options::NodeFlags};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis id                  your key and your tag; the key is made at first use
  majlis id --home ~/other   another person of yours

The key is a file in the home, key.pem: who has it is you. Keep a copy, and show it to nobody.")]
pub(crate) struct IdArgs {}

pub(crate) fn run(IdArgs {}: IdArgs, flags: &NodeFlags) -> anyhow::Result<()> {
    let path = flags.home()?;
    // A running node holds the home, but its key can be read all the same.
    let person = match Home::known_person(&path)? {
        Some(person) => person,
        None => Home::open(&path)?.person_key()?.person(),
    };
    let home = path.display().to_string();
    let body = json!({ "key": person.to_string(), "tag": person.tag(), "home": home });
    let text = format!("key   {person}\ntag   #{}\nhome  {home}", person.tag());
    Ok(Face::new(flags.json).result("id", &body, &text)?)
}
