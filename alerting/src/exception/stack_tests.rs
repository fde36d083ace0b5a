//! Real-looking stack traces of each language: frames, order, own code.

use super::*;

fn own(text: &str) -> Vec<String> {
    frames(text).into_iter().filter(|frame| frame.in_app).map(|frame| frame.name).collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(own(text), expected, "all: {:#?}", frames(text));
}

#[test]
fn java_frames_are_those_of_the_root_cause_without_generated_parts() {
    check(
        "org.springframework.web.util.NestedServletException: Request processing failed\n\
         \tat org.springframework.web.servlet.FrameworkServlet.processRequest(FrameworkServlet.java:1014)\n\
         \tat com.shop.web.Filter.doFilter(Filter.java:31)\n\
         Caused by: java.lang.NullPointerException: Cannot invoke \"Cart.items()\" because \"cart\" is null\n\
         \tat com.shop.cart.CartService.total(CartService.java:88)\n\
         \tat com.shop.cart.CartService$$SpringCGLIB$$0.total(<generated>)\n\
         \tat app//com.shop.cart.CartController.lambda$show$3(CartController.java:41) ~[classes!/:1.2.3]\n\
         \tat java.base/java.lang.Thread.run(Thread.java:840)\n\
         \t... 12 more\n",
        &[
            "com.shop.cart.CartService.total",
            "com.shop.cart.CartService.total",
            "com.shop.cart.CartController.lambda$show$0",
        ],
    );
}

#[test]
fn python_frames_start_at_the_failing_call_of_the_root_cause() {
    check(
        "Traceback (most recent call last):\n  File \"/usr/lib/python3.12/site-packages/flask/app.py\", line 1473, in wsgi_app\n    response = self.full_dispatch_request()\n  \
         File \"/srv/app/shop/views.py\", line 17, in checkout\n    pay(cart)\n  File \"/srv/app/shop/pay.py\", line 9, in pay\n    return CARDS[cart.card]\n    ~~~~~^^^^\n\
         KeyError: 'visa'\n\nDuring handling of the above exception, another exception occurred:\n\n\
         Traceback (most recent call last):\n  File \"/srv/app/shop/wrap.py\", line 3, in wrap\n    raise RuntimeError()\nRuntimeError\n",
        &["shop/pay.py:pay", "shop/views.py:checkout"],
    );
}

#[test]
fn javascript_frames_of_node_and_of_browsers() {
    check(
        "TypeError: Cannot read properties of undefined (reading 'id')\n    at charge (/app/src/pay.js:12:22)\n    \
         at new Cart (file:///app/src/cart.mjs:3:1)\n    at async Object.handler (/app/src/routes/order.js:40:9)\n    \
         at /app/src/server.js:7:3\n    at Layer.handle (/app/node_modules/express/lib/router/layer.js:95:5)\n    \
         at process.processTicksAndRejections (node:internal/process/task_queues:95:5)\n",
        &["src/pay.js:charge", "src/cart.mjs:Cart", "routes/order.js:handler", "src/server.js:<anonymous>"],
    );
    check(
        "pay@https://shop.example/assets/app.js?v=3:10:5\n@https://shop.example/assets/app.js:1:2\n",
        &["assets/app.js:pay", "assets/app.js:"],
    );
}

#[test]
fn go_frames_of_the_failing_goroutine() {
    check(
        "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation]\n\n\
         goroutine 34 [running]:\npanic({0x1029a40?, 0x14000180?})\n\t/usr/local/go/src/runtime/panic.go:770 +0x124\n\
         main.(*Server).pay(0xc0000b2000, {0x0, 0x0})\n\t/app/cmd/pay/main.go:42 +0x1d\n\
         net/http.HandlerFunc.ServeHTTP(0xc00001)\n\t/usr/local/go/src/net/http/server.go:2166 +0x29\n\
         github.com/go-chi/chi.(*Mux).route(0x1)\n\t/go/pkg/mod/github.com/go-chi/chi@v5/mux.go:1 +0x1\n\
         created by main.run in goroutine 1\n\t/app/cmd/pay/main.go:20 +0x99\n\n\
         goroutine 1 [select]:\nmain.other()\n\t/app/cmd/pay/other.go:1 +0x1\n",
        &["main.(*Server).pay", "main.run"],
    );
}

#[test]
fn rust_frames_without_hashes_and_library_code() {
    check(
        "thread 'main' panicked at src/pay.rs:10:5:\nno card\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/90b35a6/library/std/src/panicking.rs:645:5\n   \
         1: core::panicking::panic_fmt\n             at /rustc/90b35a6/library/core/src/panicking.rs:72:14\n   \
         2: shop::pay::charge::h0123456789abcdef\n             at ./src/pay.rs:10:5\n   3: <shop::Api as axum::Handler>::call\n             at ./src/api.rs:3:1\n   \
         4: sqlx::pool::acquire\n             at /home/ci/.cargo/registry/src/index/sqlx-0.8/src/pool.rs:1:1\n   5: main\n",
        &["shop::pay::charge", "shop::Api as axum::Handler>::call"],
    );
}

#[test]
fn dotnet_frames_of_the_inner_exception() {
    check(
        "System.InvalidOperationException: outer\n ---> System.NullReferenceException: Object reference not set\n   \
         at Shop.Pay.Charge(Cart cart, Int32 tries) in /src/Pay.cs:line 31\n   at Shop.Api.<Post>d__3.MoveNext()\n   \
         at System.Threading.Tasks.Task.Execute()\n   --- End of inner exception stack trace ---\n   \
         at Shop.Outer.Run() in /src/Outer.cs:line 2\n",
        &["Shop.Pay.Charge", "Shop.Api.<Post>d__0.MoveNext"],
    );
}

#[test]
fn ruby_frames_with_old_and_new_quotes() {
    check("/app/models/cart.rb:10:in 'Cart#total': undefined method (NoMethodError)\n", &["models/cart.rb:Cart#total"]);
    check(
        "/app/models/cart.rb:10:in `total'\n\tfrom /app/controllers/pay.rb:3:in 'block in PayController#show'\n\
         \tfrom /usr/local/bundle/gems/rack-3.0/lib/rack.rb:5:in `call'\n",
        &["models/cart.rb:total", "controllers/pay.rb:PayController#show"],
    );
}

#[test]
fn text_that_is_no_stack_has_no_frames() {
    for text in
        ["", "it broke", "at noon the server (main) fell over", "12: twelve", "File \"x\" not found", "가나다\n라마바"]
    {
        assert_eq!(frames(text), [], "{text}");
    }
}
