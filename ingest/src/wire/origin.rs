//! Resource and scope, and the way from a request down to its records.
//!
//! The three export requests have one shape: resources (1), each with its resource (1), scopes (2) and schema URL (3),
//! each scope with its scope (1), records (2) and schema URL (3). One walk serves them all.

use crate::error::Error;
use crate::otlp::partial::Reason;
use crate::wire::field::{Fields, Malformed, Wire};
use crate::wire::value::{Attributes, Walk};

/// The thing that sent the records.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Resource<'a> {
    pub(crate) attributes: Attributes<'a>,
    pub(crate) dropped_attributes_count: u32,
    pub(crate) schema_url: &'a str,
}

/// The instrumentation that made the records.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scope<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) dropped_attributes_count: u32,
    pub(crate) schema_url: &'a str,
}

/// Takes what a walk finds, in the order resource, scope, records. Those without records are never shown.
pub(crate) trait Visit<'a> {
    /// The resource of the scopes that follow.
    fn resource(&mut self, resource: Resource<'a>);
    /// The scope of the records that follow, and how many they are.
    fn scope(&mut self, scope: Scope<'a>, records: usize);
    /// One message of the records field. `inherited` is the fault of its resource or scope.
    fn record(&mut self, walk: &mut Walk<'a>, message: &'a [u8], inherited: Option<Reason>) -> Result<(), Error>;
}

/// Walks one export request.
pub(crate) fn walk_request<'a>(
    walk: &mut Walk<'a>,
    request: &'a [u8],
    visit: &mut impl Visit<'a>,
) -> Result<(), Error> {
    let mut fields = Fields::new(request);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            walk_resource(walk, wire.bytes()?, visit)?;
        }
    }
    Ok(())
}

/// Two passes, because a resource may stand behind its scopes.
fn walk_resource<'a>(walk: &mut Walk<'a>, message: &'a [u8], visit: &mut impl Visit<'a>) -> Result<(), Error> {
    let mut resource = Resource::default();
    walk.begin(None);
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => merge_resource(walk, wire, &mut resource)?,
            3 => resource.schema_url = walk.text(wire)?,
            _ => {}
        }
    }
    let fault = walk.fault();
    let mut unseen = Some(resource);
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        if number == 2 {
            walk_scope(walk, wire.bytes()?, (&mut unseen, fault), visit)?;
        }
    }
    Ok(())
}

fn merge_resource<'a>(walk: &mut Walk<'a>, wire: Wire<'a>, into: &mut Resource<'a>) -> Result<(), Malformed> {
    let mut fields = Fields::new(wire.bytes()?);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => walk.attribute(wire, &mut into.attributes)?,
            2 if walk.counts_origin => into.dropped_attributes_count = wire.uint32()?,
            _ => {}
        }
    }
    Ok(())
}

fn walk_scope<'a>(
    walk: &mut Walk<'a>,
    message: &'a [u8],
    (unseen, fault): (&mut Option<Resource<'a>>, Option<Reason>),
    visit: &mut impl Visit<'a>,
) -> Result<(), Error> {
    let mut scope = Scope::default();
    let mut records = 0;
    walk.begin(fault);
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => merge_scope(walk, wire, &mut scope)?,
            2 => records += 1,
            3 => scope.schema_url = walk.text(wire)?,
            _ => {}
        }
    }
    if records == 0 {
        return Ok(());
    }
    let fault = walk.fault();
    if let Some(resource) = unseen.take() {
        visit.resource(resource);
    }
    visit.scope(scope, records);
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        if number == 2 {
            visit.record(walk, wire.bytes()?, fault)?;
        }
    }
    Ok(())
}

fn merge_scope<'a>(walk: &mut Walk<'a>, wire: Wire<'a>, into: &mut Scope<'a>) -> Result<(), Malformed> {
    let mut fields = Fields::new(wire.bytes()?);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => into.name = walk.text(wire)?,
            2 => into.version = walk.text(wire)?,
            3 => walk.attribute(wire, &mut into.attributes)?,
            4 if walk.counts_origin => into.dropped_attributes_count = wire.uint32()?,
            _ => {}
        }
    }
    Ok(())
}
