from django.db import migrations

from consent.triggers import FORWARD, REVERSE


class Migration(migrations.Migration):
    dependencies = [("consent", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
