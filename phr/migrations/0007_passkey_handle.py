from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('phr', '0006_factors_lost'),
    ]

    operations = [
        migrations.AddField(
            model_name='passkey',
            name='handle',
            field=models.BinaryField(default=b'', max_length=64),
            preserve_default=False,
        ),
    ]
