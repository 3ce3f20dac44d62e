"""One module per feature; `app.main` includes them."""
