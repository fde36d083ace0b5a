//! All literals and patterns of a tenant in one pass over each field.
//!
//! One automaton per field holds the keywords of all rules, one set its patterns; columns of distinct values are
//! tested once per value. Deliberately knows no state: the same records and rules give the same hits.

use std::collections::BTreeMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::{RegexSet, RegexSetBuilder};

use crate::error::Error;
use crate::record::{Column, Records};
use crate::rule::definition::{Rule, RuleSignal};

/// The enabled rules of a tenant, compiled.
pub(crate) struct Matcher {
    logs: SignalMatcher,
    exceptions: SignalMatcher,
}

/// A rule that a record matches.
pub(crate) struct Hit {
    /// Which record of the batch.
    pub row: usize,
    /// Which rule.
    pub rule: Arc<Rule>,
}

struct SignalMatcher {
    rules: Vec<Compiled>,
    fields: Vec<FieldTerms>,
    /// Rules without keywords and patterns: every record is a candidate.
    textless: Vec<usize>,
}

struct Compiled {
    rule: Arc<Rule>,
    min_severity: u8,
    conditions: Vec<(String, String)>,
}

struct FieldTerms {
    field: String,
    literals: Vec<Literals>,
    patterns: Option<(RegexSet, Vec<Term>)>,
}

/// Keywords that are searched alike: with or without regard to case.
struct Literals {
    searcher: AhoCorasick,
    terms: Vec<Term>,
    /// Whether texts beyond ASCII must be put into lower case first, because a keyword has such letters.
    fold: bool,
}

#[derive(Clone, Copy)]
struct Term {
    rule: usize,
    forbids: bool,
}

/// Which rules a record's texts speak for and against.
struct Marks {
    found: Vec<bool>,
    forbidden: Vec<bool>,
    touched: Vec<usize>,
}

impl Matcher {
    /// Compiles rules that have passed their check.
    pub(crate) fn new(rules: &[Arc<Rule>]) -> Result<Self, Error> {
        let of = |signal| rules.iter().filter(move |rule| rule.signal == signal);
        Ok(Self {
            logs: SignalMatcher::new(of(RuleSignal::Logs))?,
            exceptions: SignalMatcher::new(of(RuleSignal::Exceptions))?,
        })
    }

    /// Log records against the rules over logs; hits in order of rows.
    pub(crate) fn match_logs(&self, records: &impl Records) -> Vec<Hit> {
        self.logs.hits(records)
    }

    /// Exceptions against the rules over exceptions; hits in order of rows.
    pub(crate) fn match_exceptions(&self, records: &impl Records) -> Vec<Hit> {
        self.exceptions.hits(records)
    }
}

impl SignalMatcher {
    fn new<'a>(rules: impl Iterator<Item = &'a Arc<Rule>>) -> Result<Self, Error> {
        let rules: Vec<Compiled> = rules.map(Compiled::new).collect();
        let mut by_field: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, compiled) in rules.iter().enumerate() {
            for field in compiled.rule.searched_fields() {
                by_field.entry(field).or_default().push(i);
            }
        }
        let fields = by_field
            .into_iter()
            .map(|(field, members)| FieldTerms::new(field, &members, &rules))
            .collect::<Result<Vec<_>, _>>()?;
        let without_text = |compiled: &Compiled| compiled.rule.keywords.is_empty() && compiled.rule.patterns.is_empty();
        let textless = (0..rules.len()).filter(|&i| without_text(&rules[i])).collect();
        Ok(Self { rules, fields, textless })
    }

    fn hits(&self, records: &impl Records) -> Vec<Hit> {
        let mut hits = Vec::new();
        if self.rules.is_empty() {
            return hits;
        }
        let mut marks = Marks::new(self.rules.len());
        let scans: Vec<Scan<'_>> =
            self.fields.iter().map(|terms| Scan::new(terms, records, self.rules.len())).collect();
        for row in 0..records.len() {
            for scan in &scans {
                scan.mark(records, row, &mut marks);
            }
            let textless = self.textless.iter().copied().filter(|&rule| !marks.forbidden[rule]);
            let found = marks.touched.iter().copied().filter(|&rule| marks.found[rule] && !marks.forbidden[rule]);
            let mut matched: Vec<usize> = textless.chain(found).collect();
            matched.sort_unstable();
            matched.dedup();
            matched.retain(|&rule| self.rules[rule].admits(records, row));
            hits.extend(matched.into_iter().map(|rule| Hit { row, rule: Arc::clone(&self.rules[rule].rule) }));
            marks.clear();
        }
        hits
    }
}

impl Compiled {
    fn new(rule: &Arc<Rule>) -> Self {
        let plain = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let conditions = rule.conditions.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
        Self { min_severity: rule.min_severity_number(), conditions, rule: Arc::clone(rule) }
    }

    fn admits(&self, records: &impl Records, row: usize) -> bool {
        let services = &self.rule.services;
        (services.is_empty() || services.iter().any(|service| service == records.service(row)))
            && records.severity(row) >= self.min_severity
            && self.conditions.iter().all(|(key, value)| records.field(row, key).is_some_and(|text| text == *value))
    }
}

impl FieldTerms {
    fn new(field: &str, members: &[usize], rules: &[Compiled]) -> Result<Self, Error> {
        let mut literals = Vec::new();
        let mut patterns = Vec::new();
        let mut pattern_terms = Vec::new();
        for case_sensitive in [false, true] {
            let mut texts = Vec::new();
            let mut terms = Vec::new();
            for &i in members {
                let rule = &rules[i].rule;
                if rule.case_sensitive != case_sensitive {
                    continue;
                }
                let wanted = rule.keywords.iter().map(|text| (text, false));
                for (text, forbids) in wanted.chain(rule.not.iter().map(|text| (text, true))) {
                    texts.push(if case_sensitive { text.clone() } else { text.to_lowercase() });
                    terms.push(Term { rule: i, forbids });
                }
                let flag = if case_sensitive { "" } else { "(?i)" };
                patterns.extend(rule.patterns.iter().map(|pattern| format!("{flag}{pattern}")));
                pattern_terms.resize(patterns.len(), Term { rule: i, forbids: false });
            }
            if !texts.is_empty() {
                literals.push(Literals::new(&texts, terms, case_sensitive)?);
            }
        }
        let patterns = if patterns.is_empty() {
            None
        } else {
            let set = RegexSetBuilder::new(&patterns).size_limit(64 << 20).dfa_size_limit(8 << 20).build();
            Some((set.map_err(|error| too_large(field, &error))?, pattern_terms))
        };
        Ok(Self { field: field.to_owned(), literals, patterns })
    }

    fn scan(&self, text: &str, marks: &mut Marks) {
        for literals in &self.literals {
            literals.scan(text, marks);
        }
        if let Some((set, terms)) = &self.patterns {
            for pattern in &set.matches(text) {
                marks.mark(terms[pattern]);
            }
        }
    }
}

impl Literals {
    fn new(texts: &[String], terms: Vec<Term>, case_sensitive: bool) -> Result<Self, Error> {
        let searcher = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(!case_sensitive)
            .kind((texts.len() <= 200).then_some(AhoCorasickKind::DFA))
            .build(texts)
            .map_err(|error| too_large("keywords", &error))?;
        let fold = !case_sensitive && texts.iter().any(|text| text.chars().any(has_case_beyond_ascii));
        Ok(Self { searcher, terms, fold })
    }

    fn scan(&self, text: &str, marks: &mut Marks) {
        if self.fold && !text.is_ascii() {
            self.search(&text.to_lowercase(), marks);
        } else {
            self.search(text, marks);
        }
    }

    fn search(&self, text: &str, marks: &mut Marks) {
        for found in self.searcher.find_overlapping_iter(text) {
            marks.mark(self.terms[found.pattern().as_usize()]);
        }
    }
}

/// Whether a letter outside ASCII has an upper case (Korean has none, so Korean keywords cost no folding).
fn has_case_beyond_ascii(letter: char) -> bool {
    !letter.is_ascii() && !letter.to_uppercase().eq(std::iter::once(letter))
}

fn too_large(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Invalid(vec![format!("the rules over {what} are too many or too large to search for: {error}")])
}

impl Marks {
    fn new(rules: usize) -> Self {
        Self { found: vec![false; rules], forbidden: vec![false; rules], touched: Vec::new() }
    }

    fn mark(&mut self, term: Term) {
        let side = if term.forbids { &mut self.forbidden } else { &mut self.found };
        if !side[term.rule] {
            side[term.rule] = true;
            self.touched.push(term.rule);
        }
    }

    fn merge(&mut self, other: &Marks) {
        for &rule in &other.touched {
            if other.found[rule] {
                self.mark(Term { rule, forbids: false });
            }
            if other.forbidden[rule] {
                self.mark(Term { rule, forbids: true });
            }
        }
    }

    fn clear(&mut self) {
        for rule in self.touched.drain(..) {
            self.found[rule] = false;
            self.forbidden[rule] = false;
        }
    }
}

/// One field of one batch, with the marks of its distinct values where it has few.
struct Scan<'a> {
    terms: &'a FieldTerms,
    column: Option<Column<'a>>,
    distinct: Vec<Marks>,
}

impl<'a> Scan<'a> {
    fn new(terms: &'a FieldTerms, records: &'a impl Records, rules: usize) -> Self {
        let column = records.whole_column(&terms.field);
        let mut distinct = Vec::new();
        if let Some(Column::Interned(_, values)) = column {
            distinct.extend(values.iter().map(|value| {
                let mut marks = Marks::new(rules);
                terms.scan(value.unwrap_or_default(), &mut marks);
                marks
            }));
        }
        Self { terms, column, distinct }
    }

    fn mark(&self, records: &impl Records, row: usize, marks: &mut Marks) {
        match self.column {
            Some(Column::Interned(keys, _)) => {
                if let Some(value) = keys.key(row).and_then(|key| self.distinct.get(key)) {
                    marks.merge(value);
                }
            }
            Some(column) => {
                if let Some(text) = column.text(row) {
                    self.terms.scan(&text, marks);
                }
            }
            None => {
                if let Some(text) = records.field(row, &self.terms.field) {
                    self.terms.scan(&text, marks);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "keyword_tests.rs"]
mod tests;
