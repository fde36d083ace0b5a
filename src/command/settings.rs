//! `config reference`, `token` and `completions`: commands that only print.

use std::io::Write;

use aws_lc_rs::rand;
use base64::Engine as _;
use clap::CommandFactory;
use tracelake_model::{Permission, TenantId};

use crate::auth::token::write_entry;
use crate::command::line::{CommandLine, TokenArgs};
use crate::config::reference::write_reference;
use crate::error::Error;

/// Prints the commented configuration file.
pub(crate) fn print_reference(out: &mut dyn Write) -> Result<(), Error> {
    out.write_all(write_reference().as_bytes()).map_err(write_fault)
}

/// Prints completions for a shell.
pub(crate) fn print_completions(shell: clap_complete::Shell, out: &mut dyn Write) {
    clap_complete::generate(shell, &mut CommandLine::command(), "tracelake", out);
}

/// Makes a token: the entry for the file to `out`, the token itself to `secret`, as it is shown only once.
pub(crate) fn make_token(args: &TokenArgs, out: &mut dyn Write, secret: &mut dyn Write) -> Result<(), Error> {
    let tenant = TenantId::new(&args.tenant).map_err(|error| Error::Usage(error.to_string()))?;
    let unknown = |role: &String| Error::Usage(format!("role {role:?} is not known; use ingest, read, admin"));
    let roles = args.roles.iter().map(|role| Permission::parse(role).ok_or_else(|| unknown(role)));
    let roles = roles.collect::<Result<Vec<_>, _>>()?;
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Error::Usage("the system gives no random bytes".to_owned()))?;
    let token = format!("tl_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes));
    writeln!(secret, "token (shown once): {token}").map_err(write_fault)?;
    writeln!(out, "{}", write_entry(&args.name, &token, &tenant, &roles)).map_err(write_fault)
}

fn write_fault(source: std::io::Error) -> Error {
    Error::System { what: "cannot write the output", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::token::Tokens;

    #[test]
    fn a_made_token_opens_the_door_that_its_entry_describes() {
        let args = TokenArgs { name: "ci".to_owned(), tenant: "team-7".to_owned(), roles: vec!["read".to_owned()] };
        let (mut out, mut secret) = (Vec::new(), Vec::new());
        make_token(&args, &mut out, &mut secret).expect("made");
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tokens.toml");
        std::fs::write(&file, out).expect("written");
        let secret = String::from_utf8(secret).expect("text");
        let token = secret.trim().rsplit(' ').next().expect("a token");
        let tokens = Tokens::read(&file).expect("reads");
        assert_eq!(tokens.find(token).map(|caller| caller.tenant.as_str()), Some("team-7"));
    }
}
