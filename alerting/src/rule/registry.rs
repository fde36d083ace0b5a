//! Rules and receivers of a tenant: shipped ones, those of the configuration file, and documents; compiled when changed.
//!
//! A document of the same id replaces a shipped rule, the file replaces both, and what stands in the file is changed
//! only there. Deliberately holds no alert state.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::{Document, DocumentStore, Expect, TenantId};
use parking_lot::Mutex;
use tracelake_model as model;
use tracing::warn;

use crate::delivery::receiver::{HIDDEN, Receiver};
use crate::error::Error;
use crate::keyword::Matcher;
use crate::rule::definition::Rule;
use crate::rule::pack;

const RULES: &str = "rules";
const RECEIVERS: &str = "receivers";
const RULES_MAX: usize = 2_000;
const RECEIVERS_MAX: usize = 200;

/// Where a rule or receiver comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Shipped with us.
    Default,
    /// The configuration file: read-only by API.
    File,
    /// Written by API.
    Api,
}

impl Origin {
    /// The name in answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

/// Everything that holds for one tenant at one moment.
pub(crate) struct RuleSet {
    /// By id.
    pub rules: BTreeMap<String, (Arc<Rule>, Origin)>,
    /// By id.
    pub receivers: BTreeMap<String, (Arc<Receiver>, Origin)>,
    /// The enabled rules, compiled.
    pub matcher: Matcher,
}

/// All tenants' rule sets, loaded at first use.
pub(crate) struct Registry {
    shipped: Vec<Arc<Rule>>,
    file_rules: Vec<Arc<Rule>>,
    file_receivers: Vec<Arc<Receiver>>,
    documents: Arc<dyn DocumentStore>,
    sets: Mutex<HashMap<TenantId, Arc<RuleSet>>>,
    /// Changes go one at a time, so that a reload never overtakes a newer one.
    changing: tokio::sync::Mutex<()>,
}

/// Problems of rules and receivers that belong together, each with its path (`alerting.rule[0].keywords[1]: ...`).
pub(crate) fn check_all(rules: &[Rule], receivers: &[Receiver]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for (i, receiver) in receivers.iter().enumerate() {
        problems.extend(receiver.problems(&format!("alerting.receiver[{i}]")));
        if !known.insert(receiver.id.as_str()) {
            problems.push(format!("alerting.receiver[{i}].id: {:?} stands twice", receiver.id));
        }
    }
    let mut ids = BTreeSet::new();
    for (i, rule) in rules.iter().enumerate() {
        problems.extend(rule.problems(&format!("alerting.rule[{i}]")));
        if !ids.insert(rule.id.as_str()) {
            problems.push(format!("alerting.rule[{i}].id: {:?} stands twice", rule.id));
        }
        for (j, id) in rule.receivers.iter().enumerate().filter(|(_, id)| !known.contains(id.as_str())) {
            problems.push(format!("alerting.rule[{i}].receivers[{j}]: there is no receiver {id:?}"));
        }
    }
    problems
}

impl Registry {
    pub(crate) fn new(
        rules: Vec<Rule>,
        receivers: Vec<Receiver>,
        default_pack: bool,
        documents: Arc<dyn DocumentStore>,
    ) -> Self {
        let shipped = if default_pack { pack::rules() } else { Vec::new() };
        Self {
            shipped: shipped.into_iter().map(Arc::new).collect(),
            file_rules: rules.into_iter().map(Arc::new).collect(),
            file_receivers: receivers.into_iter().map(Arc::new).collect(),
            documents,
            sets: Mutex::new(HashMap::new()),
            changing: tokio::sync::Mutex::new(()),
        }
    }

    /// The tenant's rule set, read from documents at first use.
    pub(crate) async fn load(&self, tenant: &TenantId) -> Result<Arc<RuleSet>, Error> {
        if let Some(set) = self.sets.lock().get(tenant) {
            return Ok(Arc::clone(set));
        }
        let _one = self.changing.lock().await;
        self.current(tenant).await
    }

    /// The set as it stands; only while `changing` is held.
    async fn current(&self, tenant: &TenantId) -> Result<Arc<RuleSet>, Error> {
        let set = self.sets.lock().get(tenant).map(Arc::clone);
        match set {
            Some(set) => Ok(set),
            None => self.reload(tenant).await,
        }
    }

    /// Writes a new rule; one of this id must not exist.
    pub(crate) async fn create_rule(&self, tenant: &TenantId, rule: &Rule) -> Result<Arc<RuleSet>, Error> {
        let _one = self.changing.lock().await;
        let set = self.current(tenant).await?;
        check_rule(rule, &set)?;
        if let Some((_, origin)) = set.rules.get(&rule.id) {
            return Err(exists("rule", &rule.id, *origin));
        }
        refuse_more_than(RULES_MAX, set.rules.len(), "rules")?;
        self.put(tenant, RULES, &rule.id, rule, Expect::Absent).await?;
        self.reload(tenant).await
    }

    /// Replaces a rule; one of this id must exist. A shipped rule is replaced by a document of its id.
    pub(crate) async fn replace_rule(&self, tenant: &TenantId, rule: &Rule) -> Result<Arc<RuleSet>, Error> {
        let _one = self.changing.lock().await;
        let set = self.current(tenant).await?;
        check_rule(rule, &set)?;
        changeable("rule", &rule.id, set.rules.get(&rule.id).map(|(_, origin)| *origin))?;
        self.put(tenant, RULES, &rule.id, rule, Expect::Any).await?;
        self.reload(tenant).await
    }

    /// Removes a rule's document. A shipped rule comes back; it is switched off by `enabled = false`.
    pub(crate) async fn delete_rule(&self, tenant: &TenantId, id: &str) -> Result<(), Error> {
        let _one = self.changing.lock().await;
        let set = self.current(tenant).await?;
        let origin = set.rules.get(id).map(|(_, origin)| *origin);
        if origin == Some(Origin::Default) {
            let told = format!("rule {id:?} is shipped and cannot be removed; PUT it with \"enabled\": false");
            return Err(Error::Conflict(told));
        }
        changeable("rule", id, origin)?;
        self.documents.delete(tenant, RULES, id).await?;
        self.reload(tenant).await?;
        Ok(())
    }

    /// Writes a new receiver; one of this id must not exist.
    pub(crate) async fn create_receiver(&self, tenant: &TenantId, receiver: &Receiver) -> Result<Arc<RuleSet>, Error> {
        refuse(receiver.problems("receiver"))?;
        let _one = self.changing.lock().await;
        let set = self.current(tenant).await?;
        if let Some((_, origin)) = set.receivers.get(&receiver.id) {
            return Err(exists("receiver", &receiver.id, *origin));
        }
        refuse_more_than(RECEIVERS_MAX, set.receivers.len(), "receivers")?;
        self.put(tenant, RECEIVERS, &receiver.id, receiver, Expect::Absent).await?;
        self.reload(tenant).await
    }

    /// Replaces a receiver. Secrets are write-only, so one that is left out (and a header shown as `***`) stays.
    pub(crate) async fn replace_receiver(&self, tenant: &TenantId, receiver: &Receiver) -> Result<Arc<RuleSet>, Error> {
        refuse(receiver.problems("receiver"))?;
        let _one = self.changing.lock().await;
        let set = self.current(tenant).await?;
        let before = set.receivers.get(&receiver.id);
        changeable("receiver", &receiver.id, before.map(|(_, origin)| *origin))?;
        let mut next = receiver.clone();
        if let Some((before, _)) = before {
            next.secret = next.secret.or_else(|| before.secret.clone());
            // A hidden header must not follow to a changed address: whoever may write could read it there.
            if next.url == before.url {
                for (name, value) in next.headers.iter_mut().filter(|(_, value)| *value == HIDDEN) {
                    if let Some(kept) = before.headers.get(name) {
                        value.clone_from(kept);
                    }
                }
            }
        }
        if next.headers.values().any(|value| value == HIDDEN) {
            return Err(Error::Invalid(vec!["receiver.headers: give the value again; *** is only shown".to_owned()]));
        }
        self.put(tenant, RECEIVERS, &next.id, &next, Expect::Any).await?;
        self.reload(tenant).await
    }

    /// Removes a receiver that no rule names any more.
    pub(crate) async fn delete_receiver(&self, tenant: &TenantId, id: &str) -> Result<(), Error> {
        let _one = self.changing.lock().await;
        let set = self.current(tenant).await?;
        changeable("receiver", id, set.receivers.get(id).map(|(_, origin)| *origin))?;
        let named = set.rules.values().find(|(rule, _)| rule.receivers.iter().any(|receiver| receiver == id));
        if let Some((rule, _)) = named {
            return Err(Error::Conflict(format!("receiver {id:?} is named by rule {:?}; change that first", rule.id)));
        }
        self.documents.delete(tenant, RECEIVERS, id).await?;
        self.reload(tenant).await?;
        Ok(())
    }

    async fn put<T: serde::Serialize>(
        &self,
        tenant: &TenantId,
        kind: &str,
        id: &str,
        item: &T,
        expect: Expect,
    ) -> Result<Document, Error> {
        let body = serde_json::to_string(item).map_err(|error| Error::Invalid(vec![error.to_string()]))?;
        Ok(self.documents.put(tenant, kind, id, &body, expect).await?)
    }

    async fn reload(&self, tenant: &TenantId) -> Result<Arc<RuleSet>, Error> {
        let rule_documents = self.documents.list(tenant, RULES).await?;
        let receiver_documents = self.documents.list(tenant, RECEIVERS).await?;
        let mut rules: BTreeMap<String, (Arc<Rule>, Origin)> = BTreeMap::new();
        let mut receivers = BTreeMap::new();
        for rule in &self.shipped {
            rules.insert(rule.id.clone(), (Arc::clone(rule), Origin::Default));
        }
        for rule in rule_documents.iter().filter_map(|document| read::<Rule>(tenant, RULES, document)) {
            rules.insert(rule.id.clone(), (Arc::new(rule), Origin::Api));
        }
        for rule in &self.file_rules {
            rules.insert(rule.id.clone(), (Arc::clone(rule), Origin::File));
        }
        for receiver in receiver_documents.iter().filter_map(|document| read::<Receiver>(tenant, RECEIVERS, document)) {
            receivers.insert(receiver.id.clone(), (Arc::new(receiver), Origin::Api));
        }
        for receiver in &self.file_receivers {
            receivers.insert(receiver.id.clone(), (Arc::clone(receiver), Origin::File));
        }
        let enabled: Vec<Arc<Rule>> =
            rules.values().filter(|(rule, _)| rule.enabled).map(|(rule, _)| Arc::clone(rule)).collect();
        let set = Arc::new(RuleSet { matcher: Matcher::new(&enabled)?, rules, receivers });
        self.sets.lock().insert(tenant.clone(), Arc::clone(&set));
        Ok(set)
    }
}

/// A stored document that cannot be read (written by hand, or by a newer version) is told and left alone.
fn read<T: serde::de::DeserializeOwned>(tenant: &TenantId, kind: &str, document: &Document) -> Option<T> {
    serde_json::from_str(&document.body)
        .map_err(|error| warn!(%tenant, kind, id = document.id, %error, "document not usable, ignored"))
        .ok()
}

fn check_rule(rule: &Rule, set: &RuleSet) -> Result<(), Error> {
    let mut problems = rule.problems("rule");
    for (i, id) in rule.receivers.iter().enumerate().filter(|(_, id)| !set.receivers.contains_key(*id)) {
        problems.push(format!("rule.receivers[{i}]: there is no receiver {id:?}"));
    }
    refuse(problems)
}

fn refuse(problems: Vec<String>) -> Result<(), Error> {
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

fn refuse_more_than(limit: usize, now: usize, what: &str) -> Result<(), Error> {
    if now < limit {
        return Ok(());
    }
    Err(Error::Conflict(format!("there are {limit} {what} already; remove one first")))
}

fn exists(kind: &str, id: &str, origin: Origin) -> Error {
    Error::Conflict(format!("{kind} {id:?} exists already (origin {}); use PUT to change it", origin.as_str()))
}

fn changeable(kind: &'static str, id: &str, origin: Option<Origin>) -> Result<(), Error> {
    match origin {
        None => Err(Error::Missing { kind, id: id.to_owned() }),
        Some(Origin::File) => {
            Err(Error::Conflict(format!("{kind} {id:?} comes from the configuration file; change it there")))
        }
        Some(Origin::Default | Origin::Api) => Ok(()),
    }
}
