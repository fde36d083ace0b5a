//! What must hold between keys, once all layers are laid: the wings' own checks, TLS files in pairs, no open door by
//! accident. Settles what follows from other keys (the wings' directories, who may receive notices).

use crate::config::schema::Config;

/// Completes the configuration and tells all that is wrong with it.
pub(crate) fn check(config: &mut Config) -> Vec<String> {
    config.storage.data_dir.clone_from(&config.data_dir);
    config.alerting.dir = config.data_dir.join("alerting");
    let private = config.private_receivers.unwrap_or(is_private(config));
    config.alerting.private_receivers = private;
    let mut problems = Vec::new();
    problems.extend(config.ingest.check().err().into_iter().flatten());
    problems.extend(config.storage.check().err().map(|error| error.to_string()));
    problems.extend(config.query.check().err().map(|error| error.to_string()));
    problems.extend(config.alerting.check().err().map(|error| error.to_string()));
    problems.extend(tls_problem(config));
    problems.extend(open_door_problem(config));
    problems
}

/// Whether only this machine reaches the server and nobody is asked for a credential.
pub(crate) fn is_private(config: &Config) -> bool {
    config.tokens_file.is_none() && config.listen.doors().iter().all(|(_, address)| address.is_local())
}

fn tls_problem(config: &Config) -> Option<String> {
    match (&config.tls.cert, &config.tls.key) {
        (Some(_), None) => Some("tls.cert is given without tls.key; give both".to_owned()),
        (None, Some(_)) => Some("tls.key is given without tls.cert; give both".to_owned()),
        _ => None,
    }
}

fn open_door_problem(config: &Config) -> Option<String> {
    if config.tokens_file.is_some() || config.listen.insecure {
        return None;
    }
    let doors = config.listen.doors();
    let open: Vec<_> = doors
        .iter()
        .filter(|(_, address)| !address.is_local())
        .map(|(name, address)| format!("listen.{name} = {address}"))
        .collect();
    (!open.is_empty()).then(|| {
        format!(
            "{}: listening beyond loopback without authentication is refused; set auth.tokens_file \
             (tracelake token makes entries), or --insecure if everybody who reaches it may read and write everything",
            open.join(", ")
        )
    })
}
