//! Who shops: one shopper with an order and a product, and how they fill the templates of log lines and keys.

use rand::Rng;
use rand::rngs::SmallRng;

/// What one request is about.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    pub(crate) order: String,
    pub(crate) product: String,
    /// Korean won.
    pub(crate) amount: u32,
    pub(crate) locale: &'static str,
    /// The shopper's address, of the ranges kept for documentation (RFC 5737).
    pub(crate) address: String,
    pub(crate) agent: &'static str,
}

const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; SM-S938N) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
    "ShopApp/7.4.0 (Android 14)",
];

impl Session {
    /// A shopper by chance.
    pub(crate) fn draw(rng: &mut SmallRng) -> Self {
        let network = if rng.random_bool(0.5) { "203.0.113" } else { "198.51.100" };
        Self {
            user: format!("u-{:05}", rng.random_range(1..4000)),
            order: format!("ord-{:08x}", rng.random::<u32>()),
            product: format!("P{:04}", rng.random_range(1..900)),
            amount: rng.random_range(49..2400) * 100,
            locale: if rng.random_range(0..100) < 64 { "ko-KR" } else { "en-US" },
            address: format!("{network}.{}", rng.random_range(1..255)),
            agent: AGENTS[rng.random_range(0..AGENTS.len())],
        }
    }

    /// A template with `{user} {order} {product} {amount} {locale} {address}` filled in.
    pub(crate) fn fill(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() + 16);
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            out.push_str(&rest[..open]);
            rest = &rest[open..];
            let Some(close) = rest.find('}') else { break };
            match &rest[1..close] {
                "user" => out.push_str(&self.user),
                "order" => out.push_str(&self.order),
                "product" | "id" => out.push_str(&self.product),
                "amount" => out.push_str(&self.amount.to_string()),
                "locale" => out.push_str(self.locale),
                "address" => out.push_str(&self.address),
                _ => out.push_str(&rest[..=close]),
            }
            rest = &rest[close + 1..];
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn templates_are_filled_and_other_braces_stay() {
        let mut session = Session::draw(&mut SmallRng::seed_from_u64(1));
        session.user = "u-1".to_owned();
        session.amount = 900;
        assert_eq!(session.fill("cart:{user}"), "cart:u-1");
        assert_eq!(session.fill("{amount}원, {x} {"), "900원, {x} {");
    }
}
