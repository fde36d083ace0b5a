//! `tracelake config reference`: a commented TOML file of every key with its default, made from the table of keys.

use std::fmt::Write as _;

use crate::config::schema::{Config, Section};
use crate::config::section::{SECTIONS, environment_name};
use crate::config::tenant::TENANTS;

/// The whole reference; a valid configuration file whose every value is the default.
pub(crate) fn write_reference() -> String {
    let defaults = Config::default();
    let mut out = String::from(
        "# Tracelake's configuration. Flags win over the environment, the environment over this file.\n\
         # Every key has an environment twin, named behind it. Keys that are commented out have no default.\n",
    );
    for section in SECTIONS {
        write_section(section, &defaults, &mut out);
    }
    write_tenant(&mut out);
    out.push_str(ENTRIES);
    out
}

/// Keys of a single tenant, as an example: nobody has one by default.
fn write_tenant(out: &mut String) {
    out.push_str("\n# What one tenant has otherwise than all.\n");
    for tenants in TENANTS {
        let _ = writeln!(out, "# [{}.tenant.NAME]", tenants.section);
        for setting in tenants.settings {
            let _ = writeln!(out, "# # {}\n# {} = {}", setting.doc, setting.key, setting.example);
        }
    }
}

fn write_section(section: &Section, defaults: &Config, out: &mut String) {
    let _ = writeln!(out, "\n# {}", section.doc);
    if !section.name.is_empty() {
        let _ = writeln!(out, "[{}]", section.name);
    }
    for setting in section.settings {
        let value = (setting.show)(defaults);
        let line =
            if value.is_empty() { format!("# {} = \"\"", setting.key) } else { format!("{} = {value}", setting.key) };
        let _ = writeln!(out, "# {}\n{line}  # {}", setting.doc, environment_name(section.name, setting.key));
    }
}

const ENTRIES: &str = r#"
# Rules and receivers may stand here too; the API shows them as read-only.
# [[alerting.receiver]]
# id = "ops"
# kind = "webhook"
# url = "https://hooks.example.com/tracelake"
# secret = "whsec_..."
#
# [[alerting.rule]]
# id = "payment-words"
# kind = "any"
# signal = "logs"
# keywords = ["payment failed", "결제 실패"]
# severity = "critical"
# receivers = ["ops"]
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Layers, load};

    #[test]
    fn the_reference_is_a_file_that_loads_and_changes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tracelake.toml");
        std::fs::write(&file, write_reference()).expect("written");
        let loaded = load(&Layers { file: Some(file), ..Layers::default() }).expect("loads");
        for section in SECTIONS {
            for setting in section.settings {
                assert_eq!((setting.show)(&loaded), (setting.show)(&Config::default()), "{}", setting.key);
            }
        }
    }
}
