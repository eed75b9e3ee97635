"""The detail of a line is sealed by the key of the person it is about."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0009_emergency")]

    operations = [
        migrations.RemoveField(model_name="auditentry", name="detail"),
        migrations.AddField(
            model_name="auditentry", name="detail", field=models.BinaryField(default=bytes),
        ),
        migrations.AddField(model_name="auditentry", name="version", field=models.IntegerField(null=True)),
        migrations.AddField(model_name="auditentry", name="key_version", field=models.SmallIntegerField(default=0)),
    ]
