"""A line of the log bears the number of its own transaction."""

from django.db import migrations

from consent.triggers import ANY_TRANSACTION, OWN_TRANSACTION


class Migration(migrations.Migration):
    dependencies = [("consent", "0014_board_screens")]
    operations = [migrations.RunSQL(OWN_TRANSACTION, ANY_TRANSACTION)]
