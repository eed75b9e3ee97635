from django.db import migrations

from consent.triggers import ANY_TRANSACTION, FORWARD, OWN_TRANSACTION, REVERSE


class Migration(migrations.Migration):
    dependencies = [("consent", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE), migrations.RunSQL(OWN_TRANSACTION, ANY_TRANSACTION)]
