/* style: the style of the status page. */
#ifndef PGWITH_ADMIN_STYLE_H
#define PGWITH_ADMIN_STYLE_H

/* clang-format off */
#define STYLE \
	":root{color-scheme:light dark;--bg:#f4f6f8;--card:#fff;--ink:#18212c;--dim:#566270;--line:#dbe1e8;" \
	"--good:#17703f;--goodbg:#e3f4ea;--waits:#8a4b00;--waitsbg:#fdf0d9;--bad:#ab1f17;--badbg:#fde7e5;" \
	"--leased:#2f6fd0;--cleaning:#c9820f;--opening:#8757c9;--idle:#8fb0dc;--ground:#e6ebf0;--gap:#eef1f4}" \
	"@media(prefers-color-scheme:dark){:root{--bg:#10151b;--card:#191f27;--ink:#e4e9ef;--dim:#9ba7b5;--line:#2c3540;" \
	"--good:#5fd098;--goodbg:#12301f;--waits:#f2b95c;--waitsbg:#33260d;--bad:#ff948b;--badbg:#3a1715;" \
	"--leased:#5a97f5;--cleaning:#dda33a;--opening:#b08cf0;--idle:#37557f;--ground:#262e38;--gap:#20262e}}" \
	"*{box-sizing:border-box}" \
	"body{margin:0 auto;padding:16px;max-width:1240px;background:var(--bg);color:var(--ink);" \
	"font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;overflow-wrap:anywhere}" \
	"h1,h2,h3,p,ul,figure{margin:0;padding:0}" \
	"h1{font-size:20px}h1 small{font-weight:400}" \
	"h2{font-size:17px;margin:20px 0 8px}h3{font-size:16px;margin-bottom:8px}" \
	"small{color:var(--dim);font-size:13px}" \
	"td small,th small,.culprit small{display:block}.nums small{display:inline}" \
	".n{white-space:nowrap;font-variant-numeric:tabular-nums}" \
	"header{display:flex;flex-wrap:wrap;gap:2px 24px;align-items:baseline;margin-bottom:12px}" \
	".when{margin-left:auto;color:var(--dim);font-variant-numeric:tabular-nums}" \
	".card,.verdict{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}" \
	"section.card{margin-top:14px}" \
	".verdict{border-left:6px solid var(--c);--c:var(--good)}" \
	".verdict.waits{--c:var(--waits)}.verdict.bad{--c:var(--bad)}" \
	".verdict h2{margin:0 0 6px;font-size:21px;color:var(--c)}" \
	".verdict ul{list-style:none}.verdict li{padding:6px 0;border-top:1px solid var(--line)}" \
	".tag{display:inline-block;padding:0 8px;border-radius:10px;font-size:13px;font-weight:600;white-space:nowrap}" \
	".tag.good{color:var(--good);background:var(--goodbg)}" \
	".tag.waits{color:var(--waits);background:var(--waitsbg)}" \
	".tag.bad{color:var(--bad);background:var(--badbg)}" \
	".culprit{margin:6px 0 2px;padding:6px 10px;border-radius:6px;background:var(--bg)}" \
	".label{color:var(--dim)}" \
	".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,380px),1fr));gap:14px}" \
	".grid .card{display:flex;flex-direction:column}.grid figure{margin-top:auto;padding-top:10px}" \
	"svg{display:block;width:100%}" \
	".bar{height:22px;border-radius:4px}.hour{height:110px}" \
	".ground{fill:var(--ground)}.leased{fill:var(--leased)}.cleaning{fill:var(--cleaning)}" \
	".opening{fill:var(--opening)}.idle{fill:var(--idle)}" \
	".cell{stroke:var(--card);stroke-width:1.5;vector-effect:non-scaling-stroke;fill:none}" \
	".tx{fill:var(--leased)}.wait{fill:var(--bad)}" \
	".gap{fill:var(--gap)}.rule{fill:none;stroke:var(--line);vector-effect:non-scaling-stroke}" \
	".col{fill:transparent}.col:hover{fill:var(--dim);fill-opacity:.25}" \
	".legend,figcaption{display:flex;flex-wrap:wrap;gap:0 14px;color:var(--dim);font-size:13px;margin:4px 0 8px}" \
	".key::before{content:'';display:inline-block;width:10px;height:10px;margin-right:5px;border-radius:2px;background:var(--k)}" \
	".key.leased,.key.xacts{--k:var(--leased)}.key.cleaning{--k:var(--cleaning)}.key.opening{--k:var(--opening)}" \
	".key.idle{--k:var(--idle)}.key.ground{--k:var(--ground)}.key.waiters{--k:var(--bad)}" \
	".axis{display:flex;justify-content:space-between;color:var(--dim);font-size:12px}" \
	"table{width:100%;border-collapse:collapse}" \
	"caption{text-align:left;font-size:17px;font-weight:600;padding-bottom:6px}" \
	"caption small{display:block;font-weight:400}" \
	"th,td{text-align:left;vertical-align:top;padding:6px 12px 6px 0;font-weight:400}" \
	"thead th{color:var(--dim);font-size:13px;padding-bottom:2px;overflow-wrap:normal}" \
	"tbody tr{border-top:1px solid var(--line)}" \
	"tbody th{font-weight:600}tbody th small{font-weight:400}" \
	".nums th{color:var(--dim);font-weight:400;width:7.2em}.nums th,.nums td{padding:2px 8px 2px 0}.nums tr{border:0}" \
	".hot{color:var(--bad);font-weight:700}" \
	".more,.nothing,footer{color:var(--dim)}.more{margin-top:8px}.nothing{margin-top:14px}" \
	"footer{margin-top:20px;font-size:13px}footer p{margin-bottom:6px}" \
	"a{color:var(--leased)}" \
	"@media(max-width:560px){body{padding:10px;font-size:14px}.card,.verdict{padding:10px}" \
	"th,td{padding-right:6px}thead th{font-size:12px}.verdict h2{font-size:19px}.when{margin-left:0;width:100%}}"
/* clang-format on */

#endif
