"""What alembic runs: the migrations, on the connection and in the transaction that `Database` holds."""

from alembic import context

from adde_ray.review.store.tables import VERSION, metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION)
context.run_migrations()
