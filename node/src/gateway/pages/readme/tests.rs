use super::*;

fn rendered(text: &str) -> String {
    render(text, &|path| match path {
        "logo.png" => Some(Own {
            address: "/p/ana/drop/0.1.0/files/logo.png".to_owned(),
            is_image: true,
        }),
        "docs/use.md" => Some(Own {
            address: "/p/ana/drop/0.1.0/files/docs/use.md".to_owned(),
            is_image: false,
        }),
        _ => None,
    })
}

#[test]
fn markdown_becomes_what_it_says() {
    assert_eq!(
        rendered("# drop\n\nA *fast* **one**: `x`\n\n- a\n- b\n"),
        "<h3>drop</h3>\n<p>A <em>fast</em> <strong>one</strong>: <code>x</code></p>\n\
         <ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"
    );
    assert_eq!(
        rendered("```c\nint\ta;\n```\n"),
        "<pre tabindex=\"0\"><code>int\ta;\n</code></pre>\n"
    );
}

#[test]
fn html_is_shown_as_text() {
    for text in [
        "<script>alert(1)</script>\n",
        "a <img src=x onerror=alert(1)> b",
        "<svg/onload=alert(1)>",
        "<!-- --><iframe src=\"javascript:alert(1)\"></iframe>",
        "| <b>x</b> |\n|---|\n| <i>y</i> |\n",
        "[<script>](https://a.example/)",
        "```<script>\n<script>\n```",
    ] {
        let html = rendered(text);
        for tag in ["<script", "<img", "<svg", "<iframe", "<b>", "<i>"] {
            assert!(!html.contains(tag), "{html}");
        }
    }
}

#[test]
fn links_lead_to_the_web_to_letters_and_to_own_files() {
    let link = |to: &str| {
        let html = rendered(&format!("[x](<{to}>)"));
        let to = html.split("href=\"").nth(1)?;
        assert!(html.contains("rel=\"nofollow ugc noopener\""), "{html}");
        to.split('"').next().map(str::to_owned)
    };
    let known = |to: &str| assert_eq!(link(to).as_deref(), Some(to));
    known("https://a.example/?a=b");
    known("HTTP://a.example/");
    known("mailto:a@a.example");
    assert_eq!(
        link("docs/use.md").as_deref(),
        Some("/p/ana/drop/0.1.0/files/docs/use.md")
    );
    for to in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//a.example/",
        "/node",
        "../../x",
        "other.md",
        "#main",
        "\\\\a.example",
        "java\u{1}script:x",
        "https:a.example",
        "https://a.example/\u{202e}x",
        "file:///etc/passwd",
    ] {
        assert_eq!(link(to), None, "{to}");
    }
    assert_eq!(
        rendered("[x](https://a.example/\"onclick=\"alert(1))"),
        "<p><a href=\"https://a.example/&#34;onclick=&#34;alert(1)\" \
         rel=\"nofollow ugc noopener\">x</a></p>\n"
    );
    let long = |len: usize| format!("https://{}", "a".repeat(len - "https://".len()));
    known(&long(ADDRESS_LEN_MAX));
    assert_eq!(link(&long(ADDRESS_LEN_MAX + 1)), None);
}

#[test]
fn images_are_the_package_s_own() {
    assert_eq!(
        rendered("![a \"logo\"](logo.png)"),
        "<p><img src=\"/p/ana/drop/0.1.0/files/logo.png\" alt=\"a &quot;logo&quot;\" /></p>\n"
    );
    for text in [
        "![word](https://a.example/x.png)",
        "![word](docs/use.md)",
        "![word](data:x)",
    ] {
        assert_eq!(rendered(text), "<p>word</p>\n", "{text}");
    }
}

#[test]
fn what_steers_a_reader_is_shown() {
    assert_eq!(
        rendered("a\u{202e}b `c\u{1b}d`"),
        "<p>a\\u{202e}b <code>c\\u{1b}d</code></p>\n"
    );
}

#[test]
fn headings_leave_none_out() {
    let html = rendered("#### a\n\n# b\n\n###### c\n");
    assert_eq!(html, "<h3>a</h3>\n<h3>b</h3>\n<h4>c</h4>\n");
}

#[test]
fn a_small_text_cannot_become_a_huge_page() {
    let columns = 10_000;
    let table = format!(
        "{}|\n{}|\n{}",
        "|a".repeat(columns),
        "|-".repeat(columns),
        "b\n".repeat(30_000)
    );
    let definition = format!("[a]: https://a.example/{}\n\n", "x".repeat(1_900));
    let links = format!("{definition}{}", "[a] ".repeat(30_000));
    let quotes = format!("{}x", "> ".repeat(60_000));
    let emphasis = format!("{}x{}", "*a **b ".repeat(10_000), "** *".repeat(10_000));
    for text in [table, links, quotes, emphasis] {
        assert!(text.len() <= 128 << 10, "{}", text.len());
        let html = rendered(&text);
        assert!(html.len() < 4 * BUDGET, "{}", html.len());
        for tag in ["table", "blockquote", "a", "em", "div"] {
            let opened = html.matches(&format!("<{tag}>")).count()
                + html.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}

#[test]
fn the_budget_is_exact() {
    // A paragraph's begin and end, and its text.
    let text = "a".repeat(BUDGET - 2 * EVENT_COST);
    assert!(rendered(&text).contains(&text));
    assert!(!rendered(&format!("{text}a")).contains('a'));
}

#[test]
fn nesting_is_cut_at_its_limit() {
    let quotes = |depth: usize| {
        let html = rendered(&format!("{}x", "> ".repeat(depth)));
        assert!(html.contains('x'), "{html}");
        html.matches("<blockquote>").count()
    };
    assert_eq!(quotes(DEPTH_MAX), DEPTH_MAX);
    assert_eq!(quotes(DEPTH_MAX + 1), DEPTH_MAX);
}
