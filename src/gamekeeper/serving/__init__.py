"""A pocket checkpoint as an OpenAI-compatible server: what a client may ask (`asked`), sampling in batches
(`batches`), and the HTTP side (`server`)."""
