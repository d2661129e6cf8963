// Asks a service for what a shop needs, through a client whose types are generated (api.ts), and
// prints the answers as JSON: node ask.ts URL KEY
import createClient from "openapi-fetch";
import type { components, paths } from "./api.ts";

declare const process: { argv: string[] };

const [, , url, key] = process.argv;
const client = createClient<paths>({ baseUrl: url, headers: { "X-API-Key": key } });
const ESTIMATE = "/api/v0.2/time_to_dispatch";

const listed = await client.GET("/api/v0.2/products", { params: { query: { limit: 1 } } });
const codes: string[] = (listed.data?.products ?? []).map((product) => product.product_code);
const order: components["schemas"]["Order"] = { product_code: codes[0], orders_placed: 112 };

const known = await client.POST(ESTIMATE, { body: order });
const hours: number | undefined = known.data?.interval.upper_hours;
const other = { ...order, product_code: "UNKNOWN" };
const unknown = await client.POST(ESTIMATE, { body: other });
const reason: string | undefined = unknown.error?.detail;
const old = await client.POST("/api/v0.1/time_to_dispatch", { body: order });
const batch = await client.POST("/api/v0.2/time_to_dispatch/batch", {
    body: { orders: [order, other] },
});
const inColumns = await client.POST("/api/v0.2/time_to_dispatch/batch", {
    body: { product_code: [codes[0], "UNKNOWN"], orders_placed: [112, 112] },
});
const rows = batch.data && !("errors" in batch.data) ? batch.data.predictions : [];
const faults: string[] = rows.flatMap((each) =>
    "errors" in each ? each.errors.map((fault) => fault.type) : [],
);

console.log(JSON.stringify({
    codes,
    hours,
    reason,
    faults,
    statuses: [known, unknown, old, batch, inColumns].map((each) => each.response.status),
    answers: [known.data, unknown.error, old.data, batch.data, inColumns.data],
}));
