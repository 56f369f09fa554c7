"""The store's schema, version by version; `Database` brings a store to the newest when it is opened."""
