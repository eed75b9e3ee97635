from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):

    dependencies = [
        ('consent', '0010_sealed_log'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='erasure', name='one_open_erasure'),
        migrations.RemoveConstraint(model_name='transfer', name='one_open_transfer'),
        migrations.AlterField(
            model_name='erasure', name='state',
            field=models.CharField(choices=[('waiting', 'Waiting'), ('done', 'Done'), ('cancelled', 'Cancelled')], max_length=9),
        ),
        migrations.AlterField(
            model_name='transfer', name='state',
            field=models.CharField(choices=[('asked', 'Asked'), ('packed', 'Packed'), ('confirmed', 'Confirmed'), ('cancelled', 'Cancelled')], max_length=9),
        ),
        migrations.AddField(
            model_name='erasure', name='joint_act',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.jointact'),
        ),
        migrations.AddField(
            model_name='transfer', name='joint_act',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.jointact'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'waiting')), fields=('subject',), name='one_open_erasure'),
        ),
        migrations.AddConstraint(
            model_name='transfer',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['asked', 'packed'])), fields=('subject',), name='one_open_transfer'),
        ),
    ]
