"""Environment of the migrations, which Alembic runs: on the connection that it is handed."""

from alembic import context

from soundness.monitoring.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,  # a monitor that is killed while it makes its tables leaves none
)
with context.begin_transaction():
    context.run_migrations()
