//! Sidecar proxies fold into the service that they stand beside.
//!
//! An outbound sidecar's span vanishes below the span of the application that called through it, an inbound one's above
//! the span of the application that it called; what hung below or above them then meets directly. A sidecar without such
//! a span beside it speaks for its application, which sent none, and stays. Gateways are no sidecars (see `role.rs`).
//! Pure; places are those of the spans of one trace.

use crate::map::parent::Parent;
use crate::map::role::Role;

/// Which spans fold. `order` has parents before their children.
pub(crate) fn folded(parents: &[Parent], order: &[usize], role: impl Fn(usize) -> Role) -> Vec<bool> {
    let mut folded = vec![false; parents.len()];
    // Whether the application's own span hangs below.
    let mut serves = vec![false; parents.len()];
    for &at in order.iter().rev() {
        folded[at] = role(at) == Role::Inbound && serves[at];
        if let Parent::At(up) = parents[at] {
            serves[up] |= !role(at).is_sidecar() || folded[at];
        }
    }
    for &at in order {
        if let (Role::Outbound, Parent::At(up)) = (role(at), parents[at]) {
            folded[at] = !role(up).is_sidecar() || folded[up];
        }
    }
    folded
}

/// Leads `parents` past folded spans; `span` tells role and whether it is folded.
pub(crate) fn bypass(parents: &mut [Parent], order: &[usize], span: impl Fn(usize) -> (Role, bool)) {
    // The application's span below each inbound sidecar.
    let mut served: Vec<Option<usize>> = vec![None; parents.len()];
    for &at in order.iter().rev() {
        if let Parent::At(up) = parents[at] {
            match span(at).0 {
                Role::Outbound => {}
                Role::Inbound => served[up] = served[at].or(served[up]),
                _ => served[up] = Some(at),
            }
        }
    }
    for &at in order {
        let Parent::At(up) = parents[at] else { continue };
        let (role, is_folded) = span(up);
        if is_folded {
            // An application that hands on the context it was called with calls below its sidecar, not below itself.
            let calls_out = span(at).0 == Role::Outbound && role == Role::Inbound;
            parents[at] = served[up].filter(|_| calls_out).map_or(parents[up], Parent::At);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::parent::Parent::{At, Root};
    use crate::map::parent::in_order;
    use crate::map::role::Role::{Inbound, Outbound, Plain};

    /// What is left: each span that stays with its parent past folded ones.
    fn check(roles: &[Role], parents: &[Parent], expected: &[(usize, Parent)]) {
        let order = in_order(parents);
        let folded = folded(parents, &order, |at| roles[at]);
        let mut parents = parents.to_vec();
        bypass(&mut parents, &order, |at| (roles[at], folded[at]));
        let left: Vec<(usize, Parent)> =
            (0..roles.len()).filter(|at| !folded[*at]).map(|at| (at, parents[at])).collect();
        assert_eq!(left, expected, "{roles:?}");
    }

    #[test]
    fn sidecars_between_two_applications_vanish() {
        check(&[Plain, Outbound, Inbound, Plain], &[Root, At(0), At(1), At(2)], &[(0, Root), (3, At(0))]);
        // Two spans of each proxy, one for either side of it.
        check(
            &[Plain, Outbound, Outbound, Inbound, Inbound, Plain],
            &[Root, At(0), At(1), At(2), At(3), At(4)],
            &[(0, Root), (5, At(0))],
        );
        check(&[Inbound, Plain], &[Root, At(0)], &[(1, Root)]);
        check(&[Plain, Outbound], &[Root, At(0)], &[(0, Root)]);
    }

    #[test]
    fn a_sidecar_stays_for_an_application_that_sent_no_span() {
        check(&[Plain, Outbound, Inbound], &[Root, At(0), At(1)], &[(0, Root), (2, At(0))]);
        // The silent application in the middle calls on.
        check(
            &[Plain, Outbound, Inbound, Outbound, Inbound, Plain],
            &[Root, At(0), At(1), At(2), At(3), At(4)],
            &[(0, Root), (2, At(0)), (3, At(2)), (5, At(3))],
        );
        check(&[Outbound, Plain], &[Root, At(0)], &[(0, Root), (1, At(0))]);
    }

    #[test]
    fn a_call_below_the_inbound_sidecar_is_its_applications() {
        check(
            &[Inbound, Plain, Outbound, Inbound, Plain],
            &[Root, At(0), At(0), At(2), At(3)],
            &[(1, Root), (4, At(1))],
        );
    }
}
