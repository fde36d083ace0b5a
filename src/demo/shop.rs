//! Who calls whom: the shop's services, operations, databases and neighbours, as constants.
//!
//! Deliberately no chance and no time in here; `request.rs` walks these tables.

use crate::demo::story::{self, Mishap};

/// One service of the shop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its place in [`SERVICES`].
    pub(crate) index: usize,
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// `telemetry.sdk.language`.
    pub(crate) language: &'static str,
    /// Pods.
    pub(crate) replicas: u8,
    pub(crate) port: u16,
}

/// How an operation is entered.
#[derive(Debug)]
pub(crate) enum Door {
    Http {
        method: &'static str,
        route: &'static str,
    },
    Grpc {
        service: &'static str,
        method: &'static str,
    },
    /// Takes messages of a topic.
    Topic {
        group: &'static str,
    },
    /// Started by the clock.
    Cron {
        schedule: &'static str,
    },
}

/// What a service does when it is called.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) service: &'static Service,
    pub(crate) door: Door,
    /// Median of its own work, microseconds.
    pub(crate) work_us: u64,
    pub(crate) steps: &'static [Step],
    /// A line that it logs when all went well, and how often in 100.
    pub(crate) log: Option<(&'static str, u32)>,
    /// What may go wrong.
    pub(crate) mishaps: &'static [Mishap],
    /// The audited action: its name and what it is done to.
    pub(crate) audit: Option<(&'static str, &'static str)>,
}

/// One step of an operation.
#[derive(Debug)]
pub(crate) enum Step {
    /// Calls another service and waits.
    Call(&'static Operation),
    /// Calls several at once and waits for all.
    Together(&'static [Step]),
    /// Happens so often in 100.
    Sometimes(u32, &'static Step),
    /// Asks PostgreSQL.
    Query { database: &'static str, verb: &'static str, table: &'static str, text: &'static str, median_us: u64 },
    /// Asks Redis.
    Cache { command: &'static str, key: &'static str, median_us: u64 },
    /// Calls somebody outside.
    External { host: &'static str, method: &'static str, path: &'static str, median_us: u64 },
    /// Puts a message on a Kafka topic; the consumers take it later.
    Publish { topic: &'static str, consumers: &'static [&'static Operation] },
    /// Work worth a span of its own.
    Work { name: &'static str, median_us: u64 },
}

macro_rules! services {
    ($($index:literal $name:ident $text:literal $version:literal $language:literal $replicas:literal $port:literal;)*) => {
        $(pub(crate) static $name: Service = Service {
            index: $index, name: $text, version: $version, language: $language, replicas: $replicas, port: $port,
        };)*
        /// Every service.
        pub(crate) static SERVICES: &[&Service] = &[$(&$name),*];
    };
}

services! {
    0 FRONTEND "frontend" "4.12.0" "nodejs" 3 8080;
    1 GATEWAY "api-gateway" "2.8.3" "go" 2 8000;
    2 AUTH "auth" "1.9.4" "go" 2 50051;
    3 CATALOG "catalog" "3.4.1" "go" 3 50051;
    4 CART "cart" "1.6.0" "dotnet" 2 50051;
    5 CHECKOUT "checkout" "5.1.2" "go" 2 50051;
    6 PAYMENT "payment" "2.3.1" "java" 2 50051;
    7 SHIPPING "shipping" "0.14.2" "rust" 2 8080;
    8 EMAIL "email" "1.2.7" "ruby" 1 8080;
    9 RECOMMENDATION "recommendation" "2.0.5" "python" 2 50051;
    10 AD "ad" "1.1.0" "java" 1 50051;
    11 INVENTORY "inventory" "3.0.8" "java" 2 50051;
    12 ORDER_WORKER "order-worker" "5.1.2" "go" 2 8080;
    13 FRAUD "fraud-check" "0.9.3" "python" 1 50051;
    14 REPORT "nightly-report" "1.0.11" "python" 1 8080;
}

const fn http(service: &'static Service, method: &'static str, route: &'static str, work_us: u64) -> Operation {
    operation(service, Door::Http { method, route }, work_us)
}

const fn grpc(service: &'static Service, rpc: &'static str, method: &'static str, work_us: u64) -> Operation {
    operation(service, Door::Grpc { service: rpc, method }, work_us)
}

const fn operation(service: &'static Service, door: Door, work_us: u64) -> Operation {
    Operation { service, door, work_us, steps: &[], log: None, mishaps: &[], audit: None }
}

const fn query(
    database: &'static str,
    verb: &'static str,
    table: &'static str,
    text: &'static str,
    median_us: u64,
) -> Step {
    Step::Query { database, verb, table, text, median_us }
}

const fn cache(command: &'static str, key: &'static str, median_us: u64) -> Step {
    Step::Cache { command, key, median_us }
}

static VERIFY: Operation = Operation {
    steps: &[cache("GET", "session:{user}", 250), Step::Sometimes(12, &SESSION_QUERY)],
    ..grpc(&AUTH, "shop.auth.v1.Auth", "VerifyToken", 300)
};
static SESSION_QUERY: Step =
    query("users", "SELECT", "sessions", "SELECT user_id, expires_at FROM sessions WHERE token_hash = $1", 1800);

static LOGIN: Operation = Operation {
    steps: &[
        query("users", "SELECT", "users", "SELECT id, password_hash, locale FROM users WHERE email = $1", 2100),
        Step::Work { name: "argon2id verify", median_us: 42_000 },
        query(
            "users",
            "INSERT",
            "sessions",
            "INSERT INTO sessions (user_id, token_hash, expires_at) VALUES ($1, $2, $3)",
            2600,
        ),
        cache("SETEX", "session:{user}", 300),
    ],
    log: Some(("user {user} logged in from {address}", 100)),
    mishaps: &[story::WRONG_PASSWORD],
    audit: Some(("user.login", "session")),
    ..grpc(&AUTH, "shop.auth.v1.Auth", "Login", 900)
};

static LIST_PRODUCTS: Operation = Operation {
    steps: &[cache("MGET", "catalog:front:{locale}", 400), Step::Sometimes(15, &LIST_QUERY)],
    log: Some(("listed 24 products for locale {locale}", 10)),
    ..grpc(&CATALOG, "shop.catalog.v1.Catalog", "ListProducts", 1100)
};
static LIST_QUERY: Step = query(
    "catalog",
    "SELECT",
    "products",
    "SELECT id, name, price, currency FROM products WHERE active AND locale = $1 ORDER BY rank LIMIT 24",
    9500,
);
static GET_PRODUCT: Operation = Operation {
    steps: &[cache("GET", "catalog:product:{product}", 280), Step::Sometimes(20, &PRODUCT_QUERY)],
    mishaps: &[story::PRODUCT_GONE],
    ..grpc(&CATALOG, "shop.catalog.v1.Catalog", "GetProduct", 500)
};
static PRODUCT_QUERY: Step = query("catalog", "SELECT", "products", "SELECT * FROM products WHERE id = $1", 2400);
static SEARCH_PRODUCTS: Operation = Operation {
    steps: &[query(
        "catalog",
        "SELECT",
        "products",
        "SELECT id, name, ts_rank(document, q) FROM products, plainto_tsquery($1) q WHERE document @@ q ORDER BY 3 DESC LIMIT 50",
        31_000,
    )],
    log: Some(("search took the full-text index, 50 candidates", 25)),
    ..grpc(&CATALOG, "shop.catalog.v1.Catalog", "SearchProducts", 2500)
};
static UPDATE_PRICE: Operation = Operation {
    steps: &[
        query("catalog", "UPDATE", "products", "UPDATE products SET price = $2 WHERE id = $1", 3900),
        cache("DEL", "catalog:product:{product}", 250),
    ],
    log: Some(("price of {product} changed to {amount} KRW", 100)),
    audit: Some(("product.price.update", "product")),
    ..grpc(&CATALOG, "shop.catalog.v1.Catalog", "UpdatePrice", 700)
};

static RECOMMEND: Operation = Operation {
    steps: &[
        cache("ZREVRANGE", "recommend:{user}", 500),
        Step::Work { name: "rank candidates", median_us: 8_000 },
        Step::Call(&LIST_PRODUCTS),
    ],
    mishaps: &[story::MODEL_TIMEOUT],
    ..grpc(&RECOMMENDATION, "shop.recommendation.v1.Recommendation", "ListRecommendations", 1500)
};
static GET_ADS: Operation = Operation {
    steps: &[Step::Work { name: "select campaign", median_us: 1_800 }],
    ..grpc(&AD, "shop.ad.v1.AdService", "GetAds", 900)
};

static GET_CART: Operation = Operation {
    steps: &[cache("HGETALL", "cart:{user}", 350)],
    mishaps: &[story::CART_NULL],
    ..grpc(&CART, "shop.cart.v1.CartService", "GetCart", 450)
};
static ADD_ITEM: Operation = Operation {
    steps: &[cache("HINCRBY", "cart:{user}", 380), cache("EXPIRE", "cart:{user}", 200)],
    log: Some(("added {product} to the cart of {user}", 40)),
    mishaps: &[story::CART_NULL],
    ..grpc(&CART, "shop.cart.v1.CartService", "AddItem", 600)
};
static EMPTY_CART: Operation = Operation {
    steps: &[cache("DEL", "cart:{user}", 240)],
    ..grpc(&CART, "shop.cart.v1.CartService", "EmptyCart", 300)
};

static SCORE: Operation = Operation {
    steps: &[cache("GET", "fraud:velocity:{user}", 300), Step::Work { name: "score features", median_us: 6_500 }],
    log: Some(("order {order} scored 0.04, accepted", 30)),
    ..grpc(&FRAUD, "shop.fraud.v1.FraudCheck", "Score", 1200)
};
static CHARGE: Operation = Operation {
    steps: &[
        query(
            "payments",
            "INSERT",
            "charges",
            "INSERT INTO charges (order_id, amount, currency, state) VALUES ($1, $2, 'KRW', 'pending')",
            3200,
        ),
        Step::External {
            host: "api.pay.example.com",
            method: "POST",
            path: "/v1/payments/confirm",
            median_us: 118_000,
        },
        query(
            "payments",
            "UPDATE",
            "charges",
            "UPDATE charges SET state = 'captured', provider_ref = $2 WHERE order_id = $1",
            2800,
        ),
    ],
    log: Some(("charged {amount} KRW for order {order}", 100)),
    mishaps: &[story::POOL_EXHAUSTED, story::PROVIDER_TIMEOUT, story::CARD_DECLINED],
    audit: Some(("payment.charge", "order")),
    ..grpc(&PAYMENT, "shop.payment.v1.Payment", "Charge", 2200)
};
static QUOTE: Operation = Operation {
    steps: &[Step::Work { name: "price parcel", median_us: 700 }],
    ..http(&SHIPPING, "POST", "/quote", 800)
};
static SHIP: Operation = Operation {
    steps: &[query(
        "orders",
        "INSERT",
        "shipments",
        "INSERT INTO shipments (order_id, carrier, state) VALUES ($1, $2, 'booked')",
        3000,
    )],
    log: Some(("booked a parcel for order {order}", 60)),
    ..http(&SHIPPING, "POST", "/shipments", 1400)
};
static CONFIRM_MAIL: Operation = Operation {
    steps: &[
        Step::Work { name: "render order_confirmation.erb", median_us: 5_200 },
        Step::External { host: "smtp-api.mail.example.net", method: "POST", path: "/v3/mail/send", median_us: 86_000 },
    ],
    log: Some(("sent the confirmation of order {order}", 100)),
    mishaps: &[story::MAIL_REFUSED],
    ..http(&EMAIL, "POST", "/send_order_confirmation", 1900)
};
static RESERVE: Operation = Operation {
    steps: &[query(
        "inventory",
        "UPDATE",
        "stock",
        "UPDATE stock SET reserved = reserved + $2 WHERE sku = $1 AND on_hand - reserved >= $2",
        4100,
    )],
    mishaps: &[story::STOCK_DEADLOCK],
    ..grpc(&INVENTORY, "shop.inventory.v1.Inventory", "Reserve", 900)
};

static WORK_ORDER: Operation = Operation {
    steps: &[
        query("orders", "SELECT", "orders", "SELECT * FROM orders WHERE id = $1 FOR UPDATE", 2700),
        Step::Call(&SHIP),
        Step::Call(&CONFIRM_MAIL),
        query("orders", "UPDATE", "orders", "UPDATE orders SET state = 'fulfilled' WHERE id = $1", 2900),
    ],
    log: Some(("order {order} fulfilled", 100)),
    ..operation(&ORDER_WORKER, Door::Topic { group: "order-worker" }, 1800)
};
static COUNT_STOCK: Operation = Operation {
    steps: &[query(
        "inventory",
        "UPDATE",
        "stock",
        "UPDATE stock SET on_hand = on_hand - $2, reserved = reserved - $2 WHERE sku = $1",
        3600,
    )],
    ..operation(&INVENTORY, Door::Topic { group: "inventory" }, 1100)
};

static PLACE_ORDER: Operation = Operation {
    steps: &[
        Step::Call(&GET_CART),
        Step::Together(&[Step::Call(&GET_PRODUCT), Step::Call(&QUOTE), Step::Call(&SCORE)]),
        Step::Call(&RESERVE),
        Step::Call(&CHARGE),
        query(
            "orders",
            "INSERT",
            "orders",
            "INSERT INTO orders (id, user_id, amount, state) VALUES ($1, $2, $3, 'paid')",
            3300,
        ),
        Step::Publish { topic: "orders", consumers: &[&WORK_ORDER, &COUNT_STOCK] },
        Step::Call(&EMPTY_CART),
    ],
    log: Some(("order {order} of {user} placed, {amount} KRW", 100)),
    audit: Some(("order.create", "order")),
    ..grpc(&CHECKOUT, "shop.checkout.v1.Checkout", "PlaceOrder", 2400)
};

static API_HOME: Operation = Operation {
    steps: &[
        Step::Call(&VERIFY),
        Step::Together(&[Step::Call(&LIST_PRODUCTS), Step::Call(&RECOMMEND), Step::Call(&GET_ADS)]),
    ],
    ..http(&GATEWAY, "GET", "/api/home", 700)
};
static API_PRODUCT: Operation = Operation {
    steps: &[
        Step::Call(&VERIFY),
        Step::Call(&GET_PRODUCT),
        Step::Together(&[Step::Call(&RECOMMEND), Step::Call(&GET_ADS)]),
    ],
    ..http(&GATEWAY, "GET", "/api/products/{id}", 600)
};
static API_SEARCH: Operation = Operation {
    steps: &[Step::Call(&VERIFY), Step::Call(&SEARCH_PRODUCTS)],
    ..http(&GATEWAY, "GET", "/api/search", 650)
};
static API_CART: Operation = Operation {
    steps: &[Step::Call(&VERIFY), Step::Call(&GET_PRODUCT), Step::Call(&ADD_ITEM)],
    ..http(&GATEWAY, "POST", "/api/cart", 750)
};
static API_CHECKOUT: Operation = Operation {
    steps: &[Step::Call(&VERIFY), Step::Call(&PLACE_ORDER)],
    ..http(&GATEWAY, "POST", "/api/checkout", 900)
};
static API_LOGIN: Operation = Operation { steps: &[Step::Call(&LOGIN)], ..http(&GATEWAY, "POST", "/api/login", 800) };
static API_PRICE: Operation = Operation {
    steps: &[Step::Call(&VERIFY), Step::Call(&UPDATE_PRICE)],
    ..http(&GATEWAY, "PUT", "/api/admin/products/{id}/price", 700)
};

static HOME: Operation = Operation { steps: &[Step::Call(&API_HOME)], ..http(&FRONTEND, "GET", "/", 4200) };
static PRODUCT: Operation =
    Operation { steps: &[Step::Call(&API_PRODUCT)], ..http(&FRONTEND, "GET", "/product/{id}", 3900) };
static SEARCH: Operation = Operation { steps: &[Step::Call(&API_SEARCH)], ..http(&FRONTEND, "GET", "/search", 3100) };
static ADD_TO_CART: Operation = Operation { steps: &[Step::Call(&API_CART)], ..http(&FRONTEND, "POST", "/cart", 2300) };
static BUY: Operation =
    Operation { steps: &[Step::Call(&API_CHECKOUT)], ..http(&FRONTEND, "POST", "/cart/checkout", 3400) };
static SIGN_IN: Operation = Operation { steps: &[Step::Call(&API_LOGIN)], ..http(&FRONTEND, "POST", "/login", 2100) };

/// What visitors do, and how often in 1000.
pub(crate) static VISITS: &[(u32, &Operation)] =
    &[(340, &HOME), (300, &PRODUCT), (110, &SEARCH), (130, &ADD_TO_CART), (70, &BUY), (46, &SIGN_IN), (4, &API_PRICE)];

/// The job that the clock starts.
pub(crate) static NIGHTLY: Operation = Operation {
    steps: &[
        query(
            "orders",
            "SELECT",
            "orders",
            "SELECT date_trunc('hour', created_at), count(*), sum(amount) FROM orders GROUP BY 1",
            640_000,
        ),
        query(
            "payments",
            "SELECT",
            "charges",
            "SELECT state, count(*), sum(amount) FROM charges GROUP BY state",
            410_000,
        ),
        Step::Work { name: "render report.xlsx", median_us: 950_000 },
        Step::External { host: "smtp-api.mail.example.net", method: "POST", path: "/v3/mail/send", median_us: 120_000 },
    ],
    log: Some(("nightly report sent to 3 recipients", 100)),
    mishaps: &[story::REPORT_OUT_OF_MEMORY],
    ..operation(&REPORT, Door::Cron { schedule: "*/5 * * * *" }, 60_000)
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_stands_at_its_own_place() {
        for (index, service) in SERVICES.iter().enumerate() {
            assert_eq!(service.index, index, "{}", service.name);
        }
        assert_eq!(VISITS.iter().map(|(share, _)| share).sum::<u32>(), 1000);
    }
}
