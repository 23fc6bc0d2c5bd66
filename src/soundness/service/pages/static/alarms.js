import { listen } from "./common.js";

listen({ alarm(event) { if (event.event !== "continued") location.reload(); } }, async () => location.reload());
