from django.db import migrations, models


class Migration(migrations.Migration):
    # Rows that are there already get their own term by `manage.py reindex`.

    dependencies = [
        ('phr', '0002_packages'),
    ]

    operations = [
        migrations.AddField(
            model_name='resource',
            name='named',
            field=models.BigIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddIndex(
            model_name='resource',
            index=models.Index(fields=['named'], name='record_by_name'),
        ),
    ]
