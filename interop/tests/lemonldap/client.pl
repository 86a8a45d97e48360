# What LemonLDAP::NG's own classes make of a session server: each check prints a line that says what is wrong.
use strict;
use warnings;
use JSON;
use Lemonldap::NG::Common::Apache::Session::REST;
use Lemonldap::NG::Common::Apache::Session::SOAP;
use Lemonldap::NG::Common::Crypto;
use Lemonldap::NG::Common::Session;

my ( $check, $server ) = @ARGV;

# The classes take the cipher from the configuration of the handler around them.
{
    package Lemonldap::NG::Handler::Main;
    my $cipher = Lemonldap::NG::Common::Crypto->new('qwertyuiop123456');
    sub tsv { { cipher => $cipher } }
}

my $classes = 'Lemonldap::NG::Common::Apache::Session::';
my %proof = ( user => 'portal', password => 'open sesame', realm => 'cloakroom' );
my %soap = (
    proxy    => "http://$server/adminSessions",
    User     => $proof{user},
    Password => $proof{password},
);
my %modules = (
    REST => { baseUrl => "http://$server/sessions/global", %proof, kind => 'SSO' },
    SOAP => {%soap},
);

sub opened {
    my ( $module, $id ) = @_;
    my %session;
    eval { tie %session, $classes . $module, $id, { %{ $modules{$module} } }; };
    return $@ ? undef : \%session;
}

sub wrong { print "@_\n" }

sub text { JSON->new->canonical->allow_nonref->encode( $_[0] ) }

# A number comes back as a text.
sub same { my ( $a, $b ) = map { text( as_text($_) ) } @_; $a eq $b }

sub as_text {
    my $value = shift;
    return { map { $_ => as_text( $value->{$_} ) } keys %$value } if ref $value eq 'HASH';
    return [ map { as_text($_) } @$value ] if ref $value eq 'ARRAY';
    return defined $value ? "$value" : undef;
}

my %values = (
    plain     => 'dwho',
    empty     => '',
    zero      => '0',
    number    => 42,
    long      => '20261122042159',
    leading   => '007',
    fraction  => '1.50',
    exponent  => '1e5',
    date      => '2026-01-02',
    moment    => '2026-01-02T03:04:05',
    address   => 'http://auth.example.com/?a=b&c=<d>',
    markup    => '<a href="x">&amp;]]></a>',
    lines     => "one\r\ntwo\n\tthree",
    spaces    => '  around  ',
    octets    => "D\xc3\xb6 \xe2\x82\xac",
    control   => "a\x01b\x1fc",
    list      => [ 'a', 'b' ],
    alone     => ['a'],
    map       => { users => { name => 'users' }, empty => '' },
    'bad key' => 'x',
    '1st'     => 'y',
    large     => 'x' x 65536,
);

my %checks = (
    values => sub {
        for my $module ( 'REST', 'SOAP' ) {
            my $session = opened($module) or return wrong("$module makes no session: $@");
            my $id = $session->{_session_id};
            $session->{$_} = $values{$_} for sort keys %values;
            $session->{"key$_"} = "value$_" for 1 .. 200;
            untie %$session;
            for my $reader ( 'REST', 'SOAP' ) {
                my $read = opened( $reader, $id ) or do { wrong("$reader does not find what $module made"); next };
                for ( sort keys %values ) {
                    wrong( "$module to $reader: $_ is", text( $read->{$_} ) ) unless same( $read->{$_}, $values{$_} );
                }
                for ( 1 .. 200 ) {
                    wrong("$module to $reader: key$_") unless ( $read->{"key$_"} // '' ) eq "value$_";
                }
                # Written back by each, as it was read: nothing grows.
                $read->{touched} = "$module $reader";
                untie %$read;
            }
        }
    },
    characters => sub {
        # Text that Perl knows to be text goes over SOAP only: REST's client cannot send it.
        my $session = opened('SOAP');
        my $id      = $session->{_session_id};
        $session->{cyrillic} = "\x{445}\x{430}";
        untie %$session;
        for ( 1 .. 3 ) {
            my $read = opened( 'SOAP', $id );
            my $is   = $read->{cyrillic};
            utf8::decode($is) unless $is =~ /[^\x00-\xff]/;
            wrong( "it is", text( $read->{cyrillic} ) ) unless $is eq "\x{445}\x{430}";
            $read->{round} = $_;
            untie %$read;
        }
    },
    writers => sub {
        my $session = opened('REST');
        my $id      = $session->{_session_id};
        $session->{"k$_"} = 'old' for 1 .. 60;
        untie %$session;
        my @children;
        for my $child ( 0 .. 7 ) {
            my $pid = fork;
            if ($pid) { push @children, $pid; next }
            my $module = $child % 2 ? 'SOAP' : 'REST';
            for ( grep { $_ % 8 == $child } 1 .. 60 ) {
                my $session = opened( $module, $id ) or exit 1;
                $session->{"k$_"} = 'new';
                untie %$session;
            }
            exit 0;
        }
        for (@children) { waitpid $_, 0; wrong("a writer failed") if $? }
        my $read = opened( 'REST', $id );
        my @lost = grep { $read->{"k$_"} ne 'new' } 1 .. 60;
        wrong("lost: @lost") if @lost;
    },
    crowd => sub {
        # As the real one was measured: of 60 to 64 writes it keeps 25 to 48.
        my $session = opened('REST');
        my $id      = $session->{_session_id};
        $session->{"k$_"} = 'old' for 1 .. 60;
        untie %$session;
        pipe my $have_read, my $has_read or die;
        pipe my $may_write, my $let_write or die;
        my @children;
        for my $child ( 1 .. 60 ) {
            my $pid = fork;
            if ($pid) { push @children, $pid; next }
            close $let_write;
            my $session = opened( $child % 2 ? 'SOAP' : 'REST', $id ) or exit 1;
            my $known = $session->{uid};
            syswrite $has_read, 'x';
            sysread $may_write, my $word, 1;
            $session->{"k$child"} = 'new';
            untie %$session;
            exit 0;
        }
        close $has_read;
        my $read = 0;
        while ( $read < 60 ) { $read += sysread( $have_read, my $words, 60 ) || last }
        wrong("only $read have read it") unless $read == 60;
        close $let_write;
        for (@children) { waitpid $_, 0; wrong("a writer failed") if $? }
        my $after = opened( 'REST', $id );
        my @lost = grep { $after->{"k$_"} ne 'new' } 1 .. 60;
        wrong("lost: @lost") if @lost;
    },
    dead => sub {
        # Over REST the late one writes all that it has read, with the proof that creates sessions.
        for my $module ( 'REST', 'SOAP' ) {
            for my $other ( 'REST', 'SOAP' ) {
                my $session = opened($module);
                my $id      = $session->{_session_id};
                $session->{uid} = 'dwho';
                untie %$session;
                my ( $late, $ender ) = ( opened( $module, $id ), opened( $other, $id ) );
                tied(%$ender)->delete or wrong("$other ends nothing");
                for ( 1 .. 2 ) {
                    $late->{_lastSeen} = time + $_;
                    tied(%$late)->save;
                    wrong("$module brought back what $other ended") if opened( 'REST', $id ) or opened( 'SOAP', $id );
                }
                untie %$late;
                wrong("$module brought back what $other ended") if opened( 'REST', $id ) or opened( 'SOAP', $id );
            }
        }
    },
    removal => sub {
        my $session = opened('REST');
        my $id      = $session->{_session_id};
        ( $session->{a}, $session->{b} ) = ( 1, 2 );
        untie %$session;
        for my $module ( 'REST', 'SOAP' ) {
            my $read = opened( $module, $id );
            $read->{c} = 3;
            untie %$read;
            $read = opened( $module, $id );
            delete $read->{c};
            untie %$read;
            $read = opened( $module, $id );
            wrong("$module does not remove") if exists $read->{c};
            wrong("$module removes more") unless $read->{a} == 1 and $read->{b} == 2;
        }
    },
    lists => sub {
        my @ids;
        for my $user ( 'ada', 'grace' ) {
            my $session = opened('REST');
            push @ids, $session->{_session_id};
            $session->{uid} = $session->{_whatToTrace} = $user;
            untie %$session;
        }
        my $rest = $classes . 'REST';
        my $all  = $rest->get_key_from_all_sessions( $modules{REST}, 'uid' );
        wrong( "all are", text($all) )
          unless same( $all, { $ids[0] => { uid => 'ada' }, $ids[1] => { uid => 'grace' } } );
        for my $field ( 'uid', '_whatToTrace' ) {
            my $found = $rest->searchOn( $modules{REST}, $field, 'grace', 'uid' );
            wrong( "$field finds", text($found) ) unless same( $found, { $ids[1] => { uid => 'grace' } } );
        }
        # All forms, by both: everything, one, several, and what the caller makes of each.
        for my $module ( 'REST', 'SOAP' ) {
            my ( $class, $how ) = ( $classes . $module, $modules{$module} );
            my $whole = $class->get_key_from_all_sessions($how);
            wrong( "$module: of all there is", text( [ keys %$whole ] ) )
              unless same( [ sort keys %$whole ], [ sort @ids ] ) and $whole->{ $ids[0] }->{_whatToTrace} eq 'ada';
            for my $wanted ( 'uid', ['uid'] ) {
                my $some = $class->get_key_from_all_sessions( $how, $wanted );
                wrong( "$module: some are", text($some) )
                  unless same( $some, { $ids[0] => { uid => 'ada' }, $ids[1] => { uid => 'grace' } } );
            }
            my %made;
            $class->get_key_from_all_sessions( $how, sub { $made{ $_[1] } = $_[0]->{uid}; undef } );
            wrong( "$module: made are", text( \%made ) ) unless same( \%made, { $ids[0] => 'ada', $ids[1] => 'grace' } );
        }
        my $none = $rest->searchOn( $modules{REST}, 'uid', 'nobody' );
        wrong( "none are", text($none) ) unless same( $none, {} );
    },
    sessions => sub {
        for my $module ( 'REST', 'SOAP' ) {
            my %how = ( storageModule => $classes . $module, storageModuleOptions => { %{ $modules{$module} } } );
            my $made = Lemonldap::NG::Common::Session->new(
                { %how, kind => 'SSO', info => { uid => 'dwho', list => [1] } } );
            my $id = $made->id or do { wrong( "$module: none is made:", $made->error // '' ); next };
            my $read = Lemonldap::NG::Common::Session->new( { %how, id => $id, kind => 'SSO' } );
            wrong("$module: it is not read") unless $read->data and ( $read->data->{uid} // '' ) eq 'dwho';
            $read->update( { uid => 'rtyler', more => 'x' } ) or wrong( "$module: no update:", $read->error // '' );
            $read = Lemonldap::NG::Common::Session->new( { %how, id => $id, kind => 'SSO' } );
            wrong("$module: the update is lost") unless $read->data->{uid} eq 'rtyler' and $read->data->{more} eq 'x';
            my $other = Lemonldap::NG::Common::Session->new( { %how, id => $id, kind => 'SAML' } );
            wrong("$module: one kind is another") unless $other->error;
            $read->remove or wrong("$module: it is not removed");
            $read = Lemonldap::NG::Common::Session->new( { %how, id => $id, kind => 'SSO' } );
            wrong("$module: it is there still") unless $read->error;
        }
        my %how = (
            storageModule        => $classes . 'REST',
            storageModuleOptions => { %{ $modules{REST} }, baseUrl => "http://$server/sessions/persistent" },
            kind                 => 'Persistent',
            id                   => 'f1b7c8ab1d9a1b2c3d4e5f60718293a4',
            force                => 1,
        );
        for my $round ( 1, 2 ) {
            my $kept = Lemonldap::NG::Common::Session->new( { %how, info => { _session_uid => 'dwho', round => $round } } );
            $kept = Lemonldap::NG::Common::Session->new( {%how} );
            wrong("it is not persistent") unless ( $kept->data->{round} // 0 ) == $round;
            $kept->remove;
        }
    },
);

$checks{$check}->();
print "done\n";
