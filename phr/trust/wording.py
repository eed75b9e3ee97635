"""The page that says what is in a package: Japanese, then English. No script, nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

FILES = {
    "record.ndjson": ("記録のすべての版", "Every version of every resource"),
    "log.ndjson": ("閲覧・利用の記録", "Who did what, when, and why"),
    "consents.ndjson": ("同意とその変更", "Consents and how they changed"),
    "provisions.ndjson": ("第三者への提供と便益", "Provisions to third parties, and what came back"),
    "confirmations.ndjson": ("受け取った記録の確認（どこから）", "What was received about you, and from whom"),
    "notices.ndjson": ("お知らせ", "Notices"),
    "requests.ndjson": ("消去・訂正・移転の申し出", "Requests to erase, correct, move"),
    "fhir.ndjson": ("記録（FHIR R4）", "The record (FHIR R4)"),
    "organizations.ndjson": ("記録を書いた機関", "The organisations that wrote it"),
}


def index_page(manifest: dict[str, Any]) -> bytes:
    """HTML, UTF-8."""
    rows = "".join(
        f"<tr><td><code>{escape(f['name'])}</code></td><td>{'<br>'.join(map(escape, FILES.get(f['name'], ('', ''))))}"
        f"</td><td>{f['rows']:,}</td><td><code>{f['sha256']}</code></td></tr>\n"
        for f in manifest["files"]
    )
    return f"""<!doctype html>
<html lang="ja"><head><meta charset="utf-8"><title>開示 / Disclosure</title>
<style>body{{font-family:sans-serif;margin:2rem;max-width:60rem}}td,th{{text-align:left;padding:.3rem .8rem}}</style>
</head><body>
<h1>記録の開示 <span lang="en">/ Disclosure of a record</span></h1>
<p>{escape(str(manifest["made_at"]))} に作成しました。各ファイルは1行に1件です。</p>
<p lang="en">Made at {escape(str(manifest["made_at"]))}. One entry on each line of each file.</p>
<table><thead><tr><th>ファイル / File</th><th>内容 / Content</th><th>件数 / Rows</th><th>SHA-256</th></tr></thead>
<tbody>
{rows}</tbody></table>
<p>この中の件数と SHA-256 は manifest.json にもあります。足りないものや誤りがあれば、訂正や苦情を申し出られます。</p>
<p lang="en">manifest.json has the same figures for machines. If something is missing or wrong, ask for correction.</p>
</body></html>
""".encode()
