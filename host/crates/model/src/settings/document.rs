//! The document: strict towards people who change it, lenient towards what another version wrote.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::keys::{SETTING_KEYS, SettingKey, SettingValue};

/// A new value for each key; none takes the key out of the document.
pub type SettingChanges = BTreeMap<String, Option<Value>>;

/// The keys that are set. What this version cannot read is kept as it is, so that a change made on a node of
/// an older version loses nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    values: BTreeMap<&'static str, SettingValue>,
    unread: BTreeMap<String, Value>,
}

/// A key that a node leaves out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub key: String,
    pub why: String,
}

/// A change that was refused: everything that is wrong with it, at least one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    pub problems: Vec<String>,
}

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl Settings {
    /// Values that are known to be of their keys' kinds.
    pub fn of(values: impl IntoIterator<Item = (&'static str, SettingValue)>) -> Self {
        Self { values: values.into_iter().collect(), unread: BTreeMap::new() }
    }

    /// Reads a stored document.
    pub fn parse(document: &str) -> Result<Self, serde_json::Error> {
        let entries: BTreeMap<String, Value> = serde_json::from_str(document)?;
        let mut settings = Self::default();
        for (name, value) in entries {
            match SettingKey::find(&name).map(|key| (key.name, key.read(&value))) {
                Some((name, Ok(value))) => drop(settings.values.insert(name, value)),
                _ => drop(settings.unread.insert(name, value)),
            }
        }
        Ok(settings)
    }

    /// The document to store.
    pub fn to_document(&self) -> String {
        Value::Object(self.entries().map(|(name, value)| (name.to_owned(), value)).collect()).to_string()
    }

    /// The document with the changes made, if every one of them can be.
    pub fn changed(&self, changes: &SettingChanges) -> Result<Self, SettingsError> {
        let mut changed = self.clone();
        let mut problems = Vec::new();
        for (name, value) in changes {
            let key = SettingKey::find(name);
            let is_set_here = self.unread.contains_key(name);
            match (key, value.as_ref().filter(|value| !value.is_null())) {
                (Some(key), Some(value)) => match key.read(value) {
                    Ok(value) => {
                        changed.unread.remove(name);
                        changed.values.insert(key.name, value);
                    }
                    Err(problem) => problems.push(problem),
                },
                (None, None) if is_set_here => drop(changed.unread.remove(name)),
                (Some(_), None) => {
                    changed.unread.remove(name);
                    changed.values.remove(name.as_str());
                }
                (None, _) => problems.push(unknown(name)),
            }
        }
        if problems.is_empty() { Ok(changed) } else { Err(SettingsError { problems }) }
    }

    /// These settings, with those of `below` where nothing is set.
    pub fn over(&self, below: &Self) -> Self {
        let mut values = below.values.clone();
        values.extend(self.values.iter().map(|(name, value)| (*name, value.clone())));
        Self { values, unread: BTreeMap::new() }
    }

    /// The settings without some of their keys.
    pub fn without(mut self, keys: &[Misfit]) -> Self {
        for Misfit { key, .. } in keys {
            self.values.remove(key.as_str());
            self.unread.remove(key);
        }
        self
    }

    /// What this version leaves out.
    pub fn misfits(&self) -> Vec<Misfit> {
        let misfit = |(name, value): (&String, &Value)| {
            let why = match SettingKey::find(name).map(|key| key.read(value)) {
                Some(Err(why)) => why,
                _ => format!("{name}: this version does not know the key"),
            };
            Misfit { key: name.clone(), why }
        };
        self.unread.iter().map(misfit).collect()
    }

    /// All that is set, what this version cannot read included.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Value)> {
        let values = self.values.iter().map(|(name, value)| (*name, value.to_json()));
        values.chain(self.unread.iter().map(|(name, value)| (name.as_str(), value.clone())))
    }

    pub fn values(&self) -> impl Iterator<Item = (&'static str, &SettingValue)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    pub fn value(&self, name: &str) -> Option<&SettingValue> {
        self.values.get(name)
    }

    pub fn number(&self, name: &'static str) -> Option<u32> {
        match self.values.get(name)? {
            SettingValue::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn text(&self, name: &'static str) -> Option<&str> {
        match self.values.get(name)? {
            SettingValue::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self, name: &'static str) -> Option<&[String]> {
        match self.values.get(name)? {
            SettingValue::List(items) => Some(items),
            _ => None,
        }
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries())
    }
}

/// An unknown key is most often a known one misspelt.
fn unknown(name: &str) -> String {
    let nearest = SETTING_KEYS
        .iter()
        .map(|key| (strsim::osa_distance(name, key.name), key.name))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3)
        .min();
    let shown: String = name.chars().take(80).collect();
    match nearest {
        Some((_, known)) => format!("unknown key `{shown}`: did you mean `{known}`?"),
        None => format!("unknown key `{shown}`: `typecase settings` lists the keys"),
    }
}
