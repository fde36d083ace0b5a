//! What goes wrong in the shop and when: mishaps with their exceptions, stack traces and log lines.
//!
//! One incident is seeded: from minute [`INCIDENT_FROM`] of every hour of the demo a new release of `payment` loses
//! its database connections and its provider, until it is rolled forward. Everything else is the rare daily mishap.

use tracelake_model::UnixNano;

/// First minute of the incident, counted from the demo's start.
pub(crate) const INCIDENT_FROM: i64 = 7;
/// First minute after it.
pub(crate) const INCIDENT_UNTIL: i64 = 22;

const MINUTE: i64 = 60_000_000_000;

/// Where the incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The old release, all well.
    Before,
    /// The bad release.
    During,
    /// The repaired release.
    After,
}

impl Phase {
    /// The phase at an instant of a demo that began at `start`.
    pub(crate) fn at(start: UnixNano, now: UnixNano) -> Self {
        match (now.0 - start.0).div_euclid(MINUTE).rem_euclid(60) {
            ..INCIDENT_FROM => Self::Before,
            INCIDENT_FROM..INCIDENT_UNTIL => Self::During,
            _ => Self::After,
        }
    }

    /// The release of `payment` in this phase.
    pub(crate) fn payment_version(self) -> &'static str {
        match self {
            Self::Before => "2.3.1",
            Self::During => "2.4.0",
            Self::After => "2.4.1",
        }
    }
}

/// One way in which an operation fails.
#[derive(Debug)]
pub(crate) struct Mishap {
    /// How often in 10,000 calls on an ordinary day.
    pub(crate) daily: u32,
    /// How often in 10,000 calls during the incident.
    pub(crate) incident: u32,
    /// HTTP status of the answer. Below 500 the service did its duty: no error status, no exception.
    pub(crate) status: u16,
    /// Median of the time lost, microseconds.
    pub(crate) delay_us: u64,
    /// The step at which it happens; the steps before it were taken.
    pub(crate) at_step: usize,
    pub(crate) exception: &'static str,
    pub(crate) message: &'static str,
    pub(crate) stacktrace: &'static str,
    /// What the service logs, in English and in Korean; either may stand in the log.
    pub(crate) lines: [&'static str; 2],
    /// 13 WARN, 17 ERROR, 21 FATAL.
    pub(crate) severity: i32,
}

pub(crate) const POOL_EXHAUSTED: Mishap = Mishap {
    daily: 0,
    incident: 2600,
    status: 503,
    delay_us: 3_000_000,
    at_step: 0,
    exception: "java.sql.SQLTransientConnectionException",
    message: "HikariPool-1 - Connection is not available, request timed out after 3000ms (total=10, active=10, idle=0, waiting=27)",
    stacktrace: "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 3000ms (total=10, active=10, idle=0, waiting=27)
\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:686)
\tat com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:179)
\tat com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:99)
\tat com.example.shop.payment.ChargeRepository.insertPending(ChargeRepository.java:58)
\tat com.example.shop.payment.ChargeService.charge(ChargeService.java:112)
\tat com.example.shop.payment.PaymentGrpcService.charge(PaymentGrpcService.java:47)
\tat com.example.shop.payment.v1.PaymentGrpc$MethodHandlers.invoke(PaymentGrpc.java:281)
\tat io.grpc.stub.ServerCalls$UnaryServerCallHandler$UnaryServerCallListener.onHalfClose(ServerCalls.java:182)
\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1144)
\tat java.base/java.lang.Thread.run(Thread.java:1583)",
    lines: [
        "charge of order {order} failed: no database connection within 3000 ms, connection pool exhausted",
        "주문 {order} 결제 실패: 데이터베이스 연결 실패, 커넥션 풀이 가득 찼습니다 (대기 27건)",
    ],
    severity: 17,
};

pub(crate) const PROVIDER_TIMEOUT: Mishap = Mishap {
    daily: 4,
    incident: 1300,
    status: 504,
    delay_us: 5_000_000,
    at_step: 1,
    exception: "java.net.SocketTimeoutException",
    message: "Read timed out",
    stacktrace: "com.example.shop.payment.ProviderException: confirm of charge failed
\tat com.example.shop.payment.ProviderClient.confirm(ProviderClient.java:91)
\tat com.example.shop.payment.ChargeService.charge(ChargeService.java:119)
\tat com.example.shop.payment.PaymentGrpcService.charge(PaymentGrpcService.java:47)
\tat com.example.shop.payment.v1.PaymentGrpc$MethodHandlers.invoke(PaymentGrpc.java:281)
\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1144)
Caused by: java.net.SocketTimeoutException: Read timed out
\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:278)
\tat java.base/sun.nio.ch.NioSocketImpl.implRead(NioSocketImpl.java:304)
\tat java.base/java.net.Socket$SocketInputStream.read(Socket.java:1099)
\tat com.example.shop.payment.ProviderClient.confirm(ProviderClient.java:84)
\t... 4 more",
    lines: [
        "payment provider did not answer within 5000 ms for order {order}",
        "주문 {order} 결제 승인 실패: 카드사 응답 시간 초과 (금액 {amount}원)",
    ],
    severity: 17,
};

pub(crate) const CARD_DECLINED: Mishap = Mishap {
    daily: 250,
    incident: 250,
    status: 402,
    delay_us: 90_000,
    at_step: 1,
    exception: "",
    message: "",
    stacktrace: "",
    lines: ["card of {user} declined for order {order}: insufficient funds", "주문 {order} 카드 승인 거절: 잔액 부족"],
    severity: 13,
};

pub(crate) const WRONG_PASSWORD: Mishap = Mishap {
    daily: 900,
    incident: 900,
    status: 401,
    delay_us: 43_000,
    at_step: 1,
    exception: "",
    message: "",
    stacktrace: "",
    lines: [
        "login of {user} from {address} refused: wrong password",
        "사용자 {user} 인증 실패: 비밀번호 불일치 ({address})",
    ],
    severity: 13,
};

pub(crate) const PRODUCT_GONE: Mishap = Mishap {
    daily: 60,
    incident: 60,
    status: 404,
    delay_us: 800,
    at_step: 1,
    exception: "",
    message: "",
    stacktrace: "",
    lines: ["product {product} is not in the catalog", "상품 {product} 을(를) 찾을 수 없습니다"],
    severity: 9,
};

pub(crate) const CART_NULL: Mishap = Mishap {
    daily: 12,
    incident: 12,
    status: 500,
    delay_us: 600,
    at_step: 1,
    exception: "System.NullReferenceException",
    message: "Object reference not set to an instance of an object.",
    stacktrace: "System.NullReferenceException: Object reference not set to an instance of an object.
   at Shop.Cart.Store.RedisCartStore.GetAsync(String userId) in /src/Store/RedisCartStore.cs:line 74
   at Shop.Cart.Services.CartService.GetCart(GetCartRequest request, ServerCallContext context) in /src/Services/CartService.cs:line 41
   at Grpc.Shared.Server.UnaryServerMethodInvoker`3.ResolvedInterceptorInvoker(TRequest resolvedRequest, ServerCallContext resolvedContext)
   at Grpc.AspNetCore.Server.Internal.CallHandlers.UnaryServerCallHandler`3.HandleCallAsyncCore(HttpContext httpContext, HttpContextServerCallContext serverCallContext)",
    lines: ["unhandled exception while reading the cart of {user}", "{user} 장바구니 조회 중 예외 발생"],
    severity: 17,
};

pub(crate) const MODEL_TIMEOUT: Mishap = Mishap {
    daily: 35,
    incident: 35,
    status: 500,
    delay_us: 250_000,
    at_step: 1,
    exception: "TimeoutError",
    message: "ranking model did not answer in 0.25 s",
    stacktrace: "Traceback (most recent call last):
  File \"/app/recommendation/server.py\", line 88, in ListRecommendations
    ranked = self.ranker.rank(candidates, timeout=0.25)
  File \"/app/recommendation/ranker.py\", line 41, in rank
    return self._session.run(features, timeout=timeout)
  File \"/app/recommendation/session.py\", line 133, in run
    raise TimeoutError(f\"ranking model did not answer in {timeout} s\")
TimeoutError: ranking model did not answer in 0.25 s",
    lines: ["ranking failed, no recommendations for {user}", "{user} 추천 실패: 모델 응답 시간 초과"],
    severity: 17,
};

pub(crate) const MAIL_REFUSED: Mishap = Mishap {
    daily: 90,
    incident: 90,
    status: 502,
    delay_us: 30_000,
    at_step: 1,
    exception: "Faraday::ConnectionFailed",
    message: "Failed to open TCP connection to smtp-api.mail.example.net:443 (Connection refused - connect(2))",
    stacktrace: "/usr/local/lib/ruby/3.3.0/net/http.rb:1603:in `initialize': Failed to open TCP connection to smtp-api.mail.example.net:443 (Connection refused - connect(2)) (Faraday::ConnectionFailed)
\tfrom /usr/local/bundle/gems/faraday-net_http-3.1.0/lib/faraday/adapter/net_http.rb:112:in `request_with_wrapped_block'
\tfrom /app/lib/mailer.rb:37:in `deliver'
\tfrom /app/email_server.rb:24:in `send_order_confirmation'",
    lines: ["mail for order {order} not sent: connection refused", "주문 {order} 확인 메일 발송 실패: 연결 거부"],
    severity: 17,
};

pub(crate) const STOCK_DEADLOCK: Mishap = Mishap {
    daily: 70,
    incident: 70,
    status: 500,
    delay_us: 1_000_000,
    at_step: 0,
    exception: "org.postgresql.util.PSQLException",
    message: "ERROR: deadlock detected",
    stacktrace: "org.postgresql.util.PSQLException: ERROR: deadlock detected
  Detail: Process 2114 waits for ShareLock on transaction 918273; blocked by process 2120.
\tat org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2733)
\tat org.postgresql.core.v3.QueryExecutorImpl.processResults(QueryExecutorImpl.java:2420)
\tat com.example.shop.inventory.StockRepository.reserve(StockRepository.java:66)
\tat com.example.shop.inventory.InventoryGrpcService.reserve(InventoryGrpcService.java:39)
\tat com.example.shop.inventory.v1.InventoryGrpc$MethodHandlers.invoke(InventoryGrpc.java:244)",
    lines: [
        "reservation for order {order} rolled back: deadlock detected",
        "주문 {order} 재고 예약 실패: 교착 상태 감지",
    ],
    severity: 17,
};

pub(crate) const REPORT_OUT_OF_MEMORY: Mishap = Mishap {
    daily: 0,
    incident: 10_000,
    status: 500,
    delay_us: 400_000,
    at_step: 2,
    exception: "MemoryError",
    message: "Unable to allocate 1.86 GiB for an array with shape (499200, 500) and data type float64",
    stacktrace: "Traceback (most recent call last):
  File \"/app/report/main.py\", line 52, in main
    book = render(frames)
  File \"/app/report/render.py\", line 118, in render
    grid = np.zeros((len(rows), 500))
MemoryError: Unable to allocate 1.86 GiB for an array with shape (499200, 500) and data type float64",
    lines: ["nightly report aborted: out of memory", "야간 리포트 중단: 메모리 부족 (치명적 오류)"],
    severity: 21,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_incident_has_a_beginning_and_an_end_every_hour() {
        let start = UnixNano(1_700_000_000_000_000_000);
        let check = |minute: i64, expected: Phase| {
            assert_eq!(Phase::at(start, UnixNano(start.0 + minute * MINUTE)), expected, "minute {minute}");
        };
        check(0, Phase::Before);
        check(INCIDENT_FROM - 1, Phase::Before);
        check(INCIDENT_FROM, Phase::During);
        check(INCIDENT_UNTIL, Phase::After);
        check(60 + INCIDENT_FROM, Phase::During);
    }
}
