//! What resource and scope bring along: interned once per resource and scope, spread over their rows at the end.

use std::sync::Arc;

use tracelake_model::column::{
    RESOURCE_ATTRIBUTES, RESOURCE_SCHEMA_URL, SCHEMA_URL, SCOPE_ATTRIBUTES, SCOPE_NAME, SCOPE_VERSION, SERVICE_NAME,
};
use tracelake_model::{DecodeLimits, semconv};

use crate::column::assemble::Assemble;
use crate::column::attribute::{push_object, tidy_but};
use crate::column::interned::Interner;
use crate::error::Error;
use crate::wire::origin::{Resource, Scope};
use crate::wire::value::{Any, Attributes};

const SERVICE: usize = 0;
const ATTRIBUTES: usize = 1;
const URL: usize = 2;
const SCOPE: usize = 3;
const PROMOTED: usize = 7;
const COLUMNS: usize = PROMOTED + semconv::RESOURCE.len();

type Keys = [Option<i32>; COLUMNS];

/// A resource and a scope as audit records need them.
#[derive(Clone, Debug)]
pub(crate) struct OriginText {
    /// The service's name.
    pub(crate) service: Arc<str>,
    /// JSON text of the resource's attributes.
    pub(crate) resource: Arc<str>,
}

/// The origin of rows: as text at hand, and as columns at the end.
pub(crate) struct OriginColumns {
    limits: DecodeLimits,
    interners: [Interner; COLUMNS],
    keys: Keys,
    text: OriginText,
    rows: usize,
    /// Whether the origin at hand has no run of rows yet.
    changed: bool,
    runs: Vec<(usize, Keys)>,
}

impl OriginColumns {
    /// No origin yet.
    pub(crate) fn new(limits: DecodeLimits) -> Self {
        let text = OriginText { service: Arc::from(semconv::UNKNOWN_SERVICE), resource: Arc::from("{}") };
        let interners = std::array::from_fn(|_| Interner::default());
        Self { limits, interners, keys: [None; COLUMNS], text, rows: 0, changed: true, runs: Vec::new() }
    }

    /// The resource of the rows that follow.
    pub(crate) fn resource(&mut self, mut resource: Resource<'_>) {
        self.changed = true;
        let json = self.object(&mut resource.attributes, resource.dropped_attributes_count);
        let service = match find(&resource.attributes, "service.name") {
            Some(Any::Text(name)) if !name.is_empty() => name,
            _ => semconv::UNKNOWN_SERVICE,
        };
        self.text = OriginText { service: Arc::from(service), resource: Arc::from(json.as_str()) };
        self.set(SERVICE, service);
        self.set(ATTRIBUTES, &json);
        self.set_nonempty(URL, resource.schema_url);
        for (at, promoted) in semconv::RESOURCE.iter().enumerate() {
            match find(&resource.attributes, promoted.key) {
                Some(Any::Text(text)) => self.set(PROMOTED + at, text),
                _ => self.keys[PROMOTED + at] = None,
            }
        }
    }

    /// The scope of the rows that follow.
    pub(crate) fn scope(&mut self, mut scope: Scope<'_>) {
        self.changed = true;
        self.set_nonempty(SCOPE, scope.name);
        self.set_nonempty(SCOPE + 1, scope.version);
        if scope.attributes.is_empty() && scope.dropped_attributes_count == 0 {
            self.keys[SCOPE + 2] = None;
        } else {
            let json = self.object(&mut scope.attributes, scope.dropped_attributes_count);
            self.set(SCOPE + 2, &json);
        }
        self.set_nonempty(SCOPE + 3, scope.schema_url);
    }

    /// The origin at hand as text.
    pub(crate) fn text(&self) -> &OriginText {
        &self.text
    }

    /// One more row of the origin at hand.
    pub(crate) fn push(&mut self) {
        self.rows += 1;
        match self.runs.last_mut() {
            Some((rows, _)) if !self.changed => *rows += 1,
            _ => self.runs.push((1, self.keys)),
        }
        self.changed = false;
    }

    /// Puts all columns, the service's name included.
    pub(crate) fn finish(self, into: &mut Assemble) -> Result<(), Error> {
        for (at, interner) in self.interners.into_iter().enumerate() {
            let name = match at {
                SERVICE => SERVICE_NAME,
                ATTRIBUTES => RESOURCE_ATTRIBUTES,
                URL => RESOURCE_SCHEMA_URL,
                SCOPE..PROMOTED => [SCOPE_NAME, SCOPE_VERSION, SCOPE_ATTRIBUTES, SCHEMA_URL][at - SCOPE],
                _ => semconv::RESOURCE[at - PROMOTED].column,
            };
            let runs = self.runs.iter().map(|(rows, keys)| (*rows, keys[at]));
            into.put_ref(name, interner.finish(self.rows, runs)?);
        }
        Ok(())
    }

    /// JSON text of a resource's or scope's attributes. Those that have a column stay however many there are.
    fn object(&self, attributes: &mut Attributes<'_>, dropped_before: u32) -> String {
        let mut tidied = tidy_but(attributes, &self.limits, has_column);
        tidied.dropped = tidied.dropped.saturating_add(dropped_before);
        let mut json = String::new();
        push_object(&mut json, attributes, &tidied);
        json
    }

    fn set(&mut self, column: usize, text: &str) {
        self.keys[column] = Some(self.interners[column].number(text));
    }

    fn set_nonempty(&mut self, column: usize, text: &str) {
        if text.is_empty() {
            self.keys[column] = None;
        } else {
            self.set(column, text);
        }
    }
}

fn has_column(key: &str) -> bool {
    key == "service.name" || semconv::RESOURCE.iter().any(|promoted| promoted.key == key)
}

fn find<'r, 'a>(attributes: &'r Attributes<'a>, key: &str) -> Option<&'r Any<'a>> {
    attributes.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
}
